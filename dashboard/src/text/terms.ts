/** The words for what is found and measured: kinds, roles, shares, what a span says of itself. */

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

export const kinds = {
  loop_blocked: {
    label: "Loop blocked",
    one: "stall",
    many: "stalls",
    cost: "blocked",
    meaning: "Synchronous work ran on the event loop: every request of the process was blocked meanwhile.",
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
    meaning: "Django or asgiref refused to run the call. Where nothing catches the error, the request fails.",
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
    meaning: "A thread was parked in async_to_sync while a coroutine ran elsewhere.",
  },
  connection_wait: {
    label: "Connection wait",
    one: "wait",
    many: "waits",
    cost: "waited",
    meaning: "Work waited for a database connection of Django's pool: all were in use.",
  },
  connection_left: {
    label: "Connection left open",
    one: "connection",
    many: "connections",
    cost: "lost",
    meaning: "A database connection was left open in a thread that has ended: nobody can use or close it.",
  },
  connection_idle: {
    label: "Connection in idle worker",
    one: "connection",
    many: "connections",
    cost: "lost",
    meaning: "A database connection is open in a worker of a thread pool that has nothing to do.",
  },
  deadlock: {
    label: "Deadlock",
    one: "deadlock",
    many: "deadlocks",
    cost: "waited",
    meaning: "Calls wait for one another in a circle, and none of them can go on.",
  },
  hop_storm: {
    label: "Hop storm",
    one: "request",
    many: "requests",
    cost: "spent on hops",
    meaning: "One line crosses between the loop and a thread many times in one request.",
  },
  stream_read_whole: {
    label: "Stream read whole",
    one: "response",
    many: "responses",
    cost: "read before the first byte",
    meaning: "A streaming response was given a synchronous iterator: Django read all of it before it sent anything.",
  },
  session_saved: {
    label: "Session saved each time",
    one: "save",
    many: "saves",
    cost: "spent saving",
    meaning: "The session is saved on every request to a route that only reads, or without having changed.",
  },
} satisfies Record<string, KindWords>;

/** For a kind that a newer collector sends. */
export const unknownKind: Omit<KindWords, "label"> = { one: "occurrence", many: "occurrences", cost: "cost", meaning: "" };

export const roles: Record<string, string> = {
  event_loop: "event loop",
  request: "request thread",
  context: "own executor's thread",
  shared: "shared thread",
  parent: "parent thread",
  pool: "pool",
  main: "main thread",
  other: "thread",
};

export const levels = { good: "Good", warn: "Look at this", bad: "Act on this", unknown: "Not known" };

export const slices = {
  blocking: { label: "blocked the loop", meaning: "its own synchronous code ran on the event loop" },
  query: { label: "query", meaning: "a database query ran" },
  run: { label: "run in a thread", meaning: "a bridge call ran, no query among it" },
  stalled: { label: "delayed by loop stalls", meaning: "other requests blocked the event loop" },
  wait: { label: "queue wait", meaning: "a bridge call waited for its thread" },
  resume: { label: "resume delay", meaning: "a bridge call had returned, the loop was busy" },
  other: { label: "other", meaning: "the request's own code on the loop, and what it awaited" },
};

/** A span in a few lines. */
export const span = {
  at: (site: string) => `at ${site}`,
  otherTrace: (of: string) => `Of another trace: ${of}`,
  ongoing: "Had not ended when this was reported",
  critical: (time: string) => `On the critical path for ${time}`,
  held: (time: string) => `Held the thread for ${time}`,
  refused: "Refused to run",
  parked: (time: string) => `Parked its thread for ${time}`,
  took: (time: string) => `Took ${time}`,
  onLoop: ", on the event loop's own thread",
  waited: (time: string, executor: string) => `Waited ${time} for the ${executor}`,
  cancelled: (time: string) => `Cancelled after running ${time}`,
  ran: (time: string) => `Ran ${time}`,
  resumed: (time: string) => `Resume delay ${time}: it had returned, the loop was busy`,
  heldBy: (holder: string, time: string) => `held by ${holder} for ${time}`,
  moreHolders: (count: number) => `and ${count} more holders`,
  idle: (time: string) => `no call held it for ${time} of the wait`,
  ofRoute: (call: string, route: string) => `${call} of ${route}`,
  loopBlocked: (time: string) => `The event loop was blocked for ${time}`,
  because: (what: string) => `because of ${what}`,
  cpu: "Python code was sampled on the loop",
  awaited: (thread: string, site: string) =>
    `The loop waited for ${thread === "" ? "another thread" : `thread ${thread}`}${site === "" ? "" : `, which was at ${site}`}`,
  starved: (of: string) => `Nobody is to blame: the loop was ready and ${of}`,
  starvedOf: {
    gil: "another thread had the interpreter (GIL)",
    processor: "other work had the processors",
    stopped: "the whole process did not run",
    unknown: "did not run, for an unknown reason",
  } as Record<string, string>,
  counted: (measured: string, thread: string, process: string, delay: string) =>
    `In ${measured}, processor time of its thread ${thread}, of the process ${process}` +
    (delay === "" ? "" : `; ready without a processor ${delay}`),
  unknown: "No sample could be taken: native code that keeps the GIL",
  lost: (requests: string, time: string, together: boolean) =>
    `${requests} lost ${time}${together ? " together" : ""}`,
  waits: (time: string) => `waits ${time}`,
  blocked: (time: string) => `blocked ${time}`,
  refusedCall: (call: string) => `refused ${call}`,
};

/** What cost a request most. */
export const verdict = {
  request: "this request",
  trace: "this trace",
  of: (time: string, what: string) => `${time} of ${what}`,
  other: (amount: string, meaning: string) => `For ${amount}, ${meaning}`,
  longWait: (time: string, executor: string, held: string) => `Calls waited up to ${time} for the ${executor}${held}`,
  held: (holder: string) => `, held by ${holder}`,
  refused: (by: string, site: string) => `${by} refused synchronous work in async code${site === "" ? "" : ` at ${site}`}`,
  blocking: (amount: string, site: string) =>
    `For ${amount}, its own code blocked the event loop${site === "" ? "" : `, most at ${site}`}`,
  stalled: (amount: string, site: string) =>
    `For ${amount}, other requests blocked the event loop${site === "" ? "" : `, most at ${site}`}`,
  waited: (amount: string, executor: string, held: string) => `For ${amount}, calls waited for the ${executor}${held}`,
};
