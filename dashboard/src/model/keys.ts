/** Keyboard shortcuts of every page: single keys, and sequences of two. */

import { text } from "../text";
import type { ViewName } from "./route";

export type Action = { go: ViewName } | { do: "help" | "range" | "copy" | "next" | "previous" | "theme" | "back" };

export interface Binding {
  keys: string;
  action: Action;
  label: string;
}

const words = text.keys;
export const BINDINGS: readonly Binding[] = [
  { keys: "g o", action: { go: "overview" }, label: words.go(text.nav.overview) },
  { keys: "g f", action: { go: "findings" }, label: words.go(text.nav.findings) },
  { keys: "g c", action: { go: "contention" }, label: words.go(text.nav.contention) },
  { keys: "g t", action: { go: "traces" }, label: words.go(text.nav.traces) },
  { keys: "g m", action: { go: "middleware" }, label: words.go(text.nav.middleware) },
  { keys: "g r", action: { go: "releases" }, label: words.go(text.nav.releases) },
  { keys: "g a", action: { go: "alerts" }, label: words.go(text.nav.alerts) },
  { keys: "j", action: { do: "next" }, label: words.next },
  { keys: "k", action: { do: "previous" }, label: words.previous },
  { keys: "u", action: { do: "back" }, label: words.back },
  { keys: "t", action: { do: "range" }, label: words.range },
  { keys: "y", action: { do: "copy" }, label: words.copy },
  { keys: "?", action: { do: "help" }, label: words.help },
];

/** Time after which the first of two keys is forgotten, ms. */
export const SEQUENCE_MS = 1200;

/** Tracks the pressed keys; `now` is in ms of any clock. */
export class Keys {
  #first = "";
  #at = 0;

  /** The action of `key`, alone or after the previous one; null if it has none. */
  press(key: string, now: number): Action | null {
    const pair = this.#first !== "" && now - this.#at <= SEQUENCE_MS ? `${this.#first} ${key}` : "";
    this.#first = "";
    const found = BINDINGS.find(({ keys }) => keys === pair) ?? BINDINGS.find(({ keys }) => keys === key);
    if (found !== undefined) return found.action;
    if (BINDINGS.some(({ keys }) => keys.startsWith(`${key} `))) {
      this.#first = key;
      this.#at = now;
    }
    return null;
  }
}
