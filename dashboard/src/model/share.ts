/** Where the time of a request went, each instant counted once. */

import type { Span, Trace } from "../api/types";
import { text } from "../text";
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
  const add = (slice: Slice, startNs: number, endNs: number, change: 1 | -1 = 1): void => {
    const start = Math.max(0, startNs - root.start_ns);
    const end = Math.min(length, endNs - root.start_ns);
    if (end > start) edges.push({ at: start, slice, change }, { at: end, slice, change: change === 1 ? -1 : 1 });
  };
  const byId = new Map(trace.spans.map((span) => [span.span_id, span]));
  for (const span of trace.spans) {
    const kind = kindOf(span);
    if (kind === "stall") add("blocking", span.start_ns, span.start_ns + span.duration_ns);
    if (kind === "query") add("query", span.start_ns, span.start_ns + span.duration_ns);
    if (kind === "bridge") {
      const { runStart, runEnd, end } = momentsOf(span);
      add("wait", span.start_ns, runStart);
      add("run", runStart, runEnd);
      add("resume", runEnd, end);
    }
    if (kind === "async_to_sync") {
      // Its thread is parked: the call that runs there makes no progress of its own meanwhile.
      const call = callAround(span, byId);
      const { runStart, runEnd } = call === null ? { runStart: 0, runEnd: 0 } : momentsOf(call);
      add("run", Math.max(span.start_ns, runStart), Math.min(span.start_ns + span.duration_ns, runEnd), -1);
    }
  }
  for (const ghost of trace.ghosts) {
    if (kindOf(ghost) === "stall") add("stalled", ghost.start_ns, ghost.start_ns + ghost.duration_ns);
  }
  const sums = sweep(edges, length);
  return PRECEDENCE.map((slice) => ({ slice, ns: sums[slice], share: sums[slice] / length })).filter(({ ns }) => ns > 0);
}

/** Epoch times of the turns of a bridge call. */
function momentsOf(span: Span): { runStart: number; runEnd: number; end: number } {
  const { waitNs, runNs, resumeNs } = phasesOf(span);
  const runStart = span.start_ns + waitNs;
  return { runStart, runEnd: runStart + runNs, end: runStart + runNs + resumeNs };
}

/** The bridge call that `span` happened in, on its thread. */
function callAround(span: Span, byId: ReadonlyMap<string, Span>): Span | null {
  const seen = new Set([span.span_id]);
  let above = byId.get(span.parent_span_id);
  while (above !== undefined && !seen.has(above.span_id)) {
    const kind = kindOf(above);
    if (kind === "bridge") return above;
    // Beyond another parked thread it is no longer this thread's call.
    if (kind === "async_to_sync") return null;
    seen.add(above.span_id);
    above = byId.get(above.parent_span_id);
  }
  return null;
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

export const SLICE_WORDS: Record<Slice, { label: string; meaning: string }> = text.slices;
