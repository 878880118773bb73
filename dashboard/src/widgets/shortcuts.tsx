/** Keyboard shortcuts of every page, and their list. */

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { type Action, BINDINGS, Keys } from "../model/keys";
import { text } from "../text";
import { copyLink } from "./copy-link";
import { linkTo, route } from "./location";
import { pickerOpen } from "./range-picker";

export const helpOpen = signal(false);
const words = text.keys;

/** Listen to the shortcuts while the frame is mounted. */
export function useShortcuts(): void {
  useEffect(() => {
    const keys = new Keys();
    const onKey = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target)) return;
      if (document.querySelector("dialog[open]") !== null) return;
      const action = keys.press(event.key, event.timeStamp);
      if (action === null) return;
      event.preventDefault();
      act(action);
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}

export function isWriting(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("input, select, textarea") !== null;
}

function act(action: Action): void {
  if ("go" in action) {
    window.location.hash = linkTo(action.go);
    return;
  }
  switch (action.do) {
    case "help":
      helpOpen.value = true;
      break;
    case "range":
      pickerOpen.value = true;
      break;
    case "copy":
      copyLink();
      break;
    case "next":
      moveRow(1);
      break;
    case "previous":
      moveRow(-1);
      break;
    case "back":
      if (route.peek().view === "finding") window.location.hash = linkTo("findings");
      if (route.peek().view === "trace") window.location.hash = linkTo("traces");
      break;
  }
}

/** Move the focus to the link or button of the next or previous row. */
function moveRow(by: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>("main tbody tr")];
  const targets = rows.map((row) => row.querySelector<HTMLElement>("a, button")).filter((target) => target !== null);
  if (targets.length === 0) return;
  const at = targets.findIndex((target) => target.closest("tr")?.contains(document.activeElement) === true);
  const next = at < 0 ? (by === 1 ? 0 : targets.length - 1) : Math.min(Math.max(at + by, 0), targets.length - 1);
  targets[next]?.focus();
  targets[next]?.closest("tr")?.scrollIntoView({ block: "nearest" });
}

const TIMELINE: readonly (readonly [string, string])[] = [
  ["← →", words.pan],
  ["+ -", words.zoom],
  ["0", words.fit],
  ["↑ ↓", words.spans],
  ["Enter", words.fill],
  ["c", words.critical],
  ["Esc", words.deselect],
];

export function ShortcutHelp(): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (helpOpen.value) dialog.current?.showModal();
    else dialog.current?.close();
  }, [helpOpen.value]);
  const close = (): void => {
    helpOpen.value = false;
  };
  return (
    <dialog ref={dialog} class="help" aria-labelledby="help-title" onClose={close}
      onClick={(event) => event.target === dialog.current && close()}>
      <header>
        <h2 id="help-title">{words.title}</h2>
        <button type="button" onClick={close} aria-label={words.close}>✕</button>
      </header>
      <div class="help-columns">
        <KeyList title={words.everywhere} entries={[...BINDINGS.map(({ keys, label }) => [keys, label] as const), ["/", words.search]]} />
        <KeyList title={words.timeline} entries={TIMELINE} />
      </div>
    </dialog>
  );
}

function KeyList({ title, entries }: { title: string; entries: readonly (readonly [string, string])[] }): JSX.Element {
  return (
    <section>
      <h3>{title}</h3>
      <dl class="key-list">
        {entries.map(([keys, does]) => (
          <div key={keys}>
            <dt>{keys.split(" ").map((key) => <kbd key={key}>{key}</kbd>)}</dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
