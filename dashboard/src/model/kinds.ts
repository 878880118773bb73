/** What each kind of finding is called, and how its occurrences, costs and victims are worded. */

import type { FindingKind } from "../api/types";

export interface KindWords {
  label: string;
  /** One occurrence, and several. */
  one: string;
  many: string;
  /** What `total_ns` sums. */
  cost: string;
  /** What it means, for somebody who sees the name for the first time. */
  meaning: string;
}

const WORDS: Record<FindingKind, KindWords> = {
  loop_blocked: {
    label: "Loop blocked",
    one: "stall",
    many: "stalls",
    cost: "blocked",
    meaning: "Synchronous work ran on the event loop: every request of the process stood still meanwhile.",
  },
  contention: {
    label: "Contention",
    one: "wait",
    many: "waits",
    cost: "waited",
    meaning: "Calls waited for the one thread that another call held.",
  },
  pool_starvation: {
    label: "Pool starvation",
    one: "wait",
    many: "waits",
    cost: "waited",
    meaning: "Calls waited because every worker of the thread pool was busy.",
  },
  refusal: {
    label: "Refusal",
    one: "refusal",
    many: "refusals",
    cost: "lost",
    meaning: "Django or asgiref refused to run the call: the request most likely failed.",
  },
  sync_middleware: {
    label: "Sync middleware",
    one: "hop",
    many: "hops",
    cost: "spent on hops",
    meaning: "A middleware that is only synchronous sends every request through a thread.",
  },
  parked_thread: {
    label: "Parked thread",
    one: "time",
    many: "times",
    cost: "parked",
    meaning: "A thread stood still in async_to_sync while a coroutine ran elsewhere.",
  },
  hop_storm: {
    label: "Hop storm",
    one: "request",
    many: "requests",
    cost: "spent on hops",
    meaning: "One line crosses between the loop and a thread many times in one request.",
  },
};

export const KINDS = Object.keys(WORDS) as FindingKind[];

/** The words of a kind; a kind that a newer collector sends is shown by its name. */
export function wordsOf(kind: string): KindWords {
  if (Object.hasOwn(WORDS, kind)) return WORDS[kind as FindingKind];
  return { label: kind, one: "occurrence", many: "occurrences", cost: "cost", meaning: "" };
}

const ROLES: Record<string, string> = {
  event_loop: "event loop",
  request: "request thread",
  shared: "shared thread",
  parent: "parent thread",
  pool: "pool",
  main: "main thread",
  other: "thread",
};

/** A thread role in words. */
export function roleName(role: string): string {
  return Object.hasOwn(ROLES, role) ? (ROLES[role] as string) : role === "" ? "thread" : role;
}
