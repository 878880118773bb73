/** What each kind of finding and each thread role is called. */

import type { FindingKind } from "../api/types";
import { text } from "../text";
import type { KindWords } from "../text/words";

const WORDS: Record<FindingKind, KindWords> = text.kinds;

export const KINDS = Object.keys(WORDS) as FindingKind[];

/** The words of a kind; a kind that a newer collector sends is shown by its name. */
export function wordsOf(kind: string): KindWords {
  return Object.hasOwn(WORDS, kind) ? WORDS[kind as FindingKind] : { label: kind, ...text.unknownKind };
}

/** A thread role in words. */
export function roleName(role: string): string {
  if (Object.hasOwn(text.roles, role)) return text.roles[role] as string;
  return role === "" ? (text.roles["other"] as string) : role;
}
