/** Where the time of a request went, each instant counted once. */

import type { Trace } from "../api/types";
import { kindOf, phasesOf, rootOf } from "./spans";

export type Slice = "blocking" | "query" | "run" | "stalled" | "wait" | "resume" | "other";

/** What wins where several happen at once: what made progress before what stood still. */
const PRECEDENCE: readonly Slice[] = ["blocking", "query", "run", "stalled", "wait", "resume", "other"];

export interface Share {
  slice: Slice;
  ns: number;
  /** Of the request, 0 to 1. */
  share: number;
}

interface Edge {
  at: number;
  slice: Slice;
  change: 1 | -1;
}

/** The slices of the trace's root, in order of precedence, without the empty ones. Their sum is its duration. */
export function sharesOf(trace: Trace): Share[] {
  const root = rootOf(trace.spans);
  if (root === null || root.duration_ns <= 0) return [];
  const length = root.duration_ns;
  const edges: Edge[] = [];
  const add = (slice: Slice, startNs: number, durationNs: number): void => {
    const start = Math.max(0, startNs - root.start_ns);
    const end = Math.min(length, startNs + durationNs - root.start_ns);
    if (end > start) edges.push({ at: start, slice, change: 1 }, { at: end, slice, change: -1 });
  };
  for (const span of trace.spans) {
    const kind = kindOf(span);
    if (kind === "stall") add("blocking", span.start_ns, span.duration_ns);
    if (kind === "query") add("query", span.start_ns, span.duration_ns);
    if (kind === "bridge") {
      const { waitNs, runNs, resumeNs } = phasesOf(span);
      add("wait", span.start_ns, waitNs);
      add("run", span.start_ns + waitNs, runNs);
      add("resume", span.start_ns + waitNs + runNs, resumeNs);
    }
  }
  for (const ghost of trace.ghosts) if (kindOf(ghost) === "stall") add("stalled", ghost.start_ns, ghost.duration_ns);
  const sums = sweep(edges, length);
  return PRECEDENCE.map((slice) => ({ slice, ns: sums[slice], share: sums[slice] / length })).filter(({ ns }) => ns > 0);
}

function sweep(edges: Edge[], length: number): Record<Slice, number> {
  const active: Record<Slice, number> = { blocking: 0, query: 0, run: 0, stalled: 0, wait: 0, resume: 0, other: 1 };
  const sums: Record<Slice, number> = { blocking: 0, query: 0, run: 0, stalled: 0, wait: 0, resume: 0, other: 0 };
  edges.sort((a, b) => a.at - b.at);
  let at = 0;
  for (const edge of [...edges, { at: length, slice: "other", change: -1 } as const]) {
    const winner = PRECEDENCE.find((slice) => active[slice] > 0) ?? "other";
    sums[winner] += edge.at - at;
    at = edge.at;
    active[edge.slice] += edge.change;
  }
  return sums;
}

export const SLICE_WORDS: Record<Slice, { label: string; meaning: string }> = {
  blocking: { label: "blocked the loop", meaning: "its own synchronous code ran on the event loop" },
  query: { label: "query", meaning: "a database query ran" },
  run: { label: "run in a thread", meaning: "a bridge call ran, no query among it" },
  stalled: { label: "loop stall suffered", meaning: "other requests blocked the event loop" },
  wait: { label: "queue wait", meaning: "a bridge call waited for its thread" },
  resume: { label: "resume delay", meaning: "a bridge call had returned, the loop was busy" },
  other: { label: "other", meaning: "the request's own code on the loop, and what it awaited" },
};
