/** Names of the kinds of findings and of the thread roles. */

import type { FindingKind } from "../api/types";
import { text } from "../text";
import type { KindWords } from "../text/terms";

const WORDS: Record<FindingKind, KindWords> = text.kinds;

export const KINDS = Object.keys(WORDS) as FindingKind[];

/** The texts of a kind; a kind of a newer collector is shown by its identifier. */
export function wordsOf(kind: string): KindWords {
  return Object.hasOwn(WORDS, kind) ? WORDS[kind as FindingKind] : { label: kind, ...text.unknownKind };
}

/** The name of a thread role. */
export function roleName(role: string): string {
  if (Object.hasOwn(text.roles, role)) return text.roles[role] as string;
  return role === "" ? (text.roles["other"] as string) : role;
}
