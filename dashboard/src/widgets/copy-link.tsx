/** A link to exactly what is shown: a range that ends now is fixed at the time of copying. */

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { between, boundsOf } from "../model/range";
import { href } from "../model/route";
import { text } from "../text";
import { Icon } from "./icon";
import { range, route } from "./location";

const said = signal("");
let timer: ReturnType<typeof setTimeout> | undefined;

function say(message: string): void {
  said.value = message;
  clearTimeout(timer);
  timer = setTimeout(() => (said.value = ""), 4000);
}

/** Whoever opens it later sees the same data; a quick range returns to the live view. */
export function linkToWhatIsShown(now: number): string {
  const { view, id, params } = route.peek();
  const { start, end } = boundsOf(range.peek(), now);
  const fixed = between(start, end);
  return new URL(href(view ?? "overview", id, { ...params, ...fixed }), window.location.href).href;
}

export function copyLink(): void {
  copyText(linkToWhatIsShown(Date.now()), text.scope.copied);
}

/** Copy `value` to the clipboard and confirm it. */
export function copyText(value: string, done: string): void {
  // Browsers offer the clipboard only on HTTPS or on the same machine.
  if (!("clipboard" in navigator)) {
    say(text.scope.notCopied);
    return;
  }
  navigator.clipboard.writeText(value).then(
    () => say(done),
    () => say(text.scope.notCopied),
  );
}

export function CopyLink(): JSX.Element {
  return (
    <button type="button" class="icon-button" aria-label={text.scope.copy} title={`${text.scope.copy} (y)`} onClick={copyLink}>
      <Icon name="link" />
    </button>
  );
}

/** The result of copying, for a few seconds. */
export function Toast(): JSX.Element {
  return (
    <div class="toast" role="status">
      {said.value !== "" && <span>{said.value}</span>}
    </div>
  );
}
