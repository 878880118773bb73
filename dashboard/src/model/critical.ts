/**
 * The critical path of a request: what decided how long it took, from its end back to its start.
 *
 * At each moment it lies on one span: the one whose end was waited for last. Had a span beside it been shorter,
 * the request would have ended at the same time. A queue wait on it leads to the calls that held the thread.
 */

import * as sem from "../api/semconv";
import type { Span } from "../api/types";
import type { Timeline } from "./lanes";
import { keyOf, kindOf, linksOf, phasesOf } from "./spans";

/** A stretch of the path on one span; ns from the trace's origin. */
export interface Step {
  key: string;
  span: Span;
  start: number;
  end: number;
  /** Its queue wait: no progress of its own. */
  waiting: boolean;
}

export interface CriticalPath {
  /** By time; they do not overlap and fill the root. */
  steps: Step[];
  /** The spans of the steps, and the holders of the waits among them. */
  keys: ReadonlySet<string>;
}

/** A child this much shorter than a step's least length is not worth a step, ns: epoch times keep 256 ns. */
const GRAIN_NS = 512;
/** Deeper than any real trace; a cycle of parents ends here. */
const MAX_DEPTH = 500;

export function criticalPathOf(timeline: Timeline): CriticalPath {
  const { root, originNs } = timeline;
  if (root === null) return { steps: [], keys: new Set() };
  const own = ownSpans(timeline, root.trace_id);
  const walk = new Walk(originNs, childrenOf(own));
  const start = root.start_ns - originNs;
  walk.down(root, start, start + root.duration_ns, 0);
  const steps = walk.steps.reverse();
  const keys = new Set(steps.map(({ key }) => key));
  for (const { span, waiting } of steps) {
    if (waiting) for (const link of linksOf(span, sem.HELD_BY)) keys.add(keyOf(link));
  }
  return { steps, keys };
}

/** For how long the path lies on a span, ns. */
export function criticalNs(path: CriticalPath, key: string): number {
  return path.steps.reduce((sum, step) => (step.key === key ? sum + step.end - step.start : sum), 0);
}

/** From which share of the path a step is worth naming. */
const WORTH_NAMING = 0.01;

/** The steps that took longest, at most `most` of them, by time. */
export function longestSteps(path: CriticalPath, most: number): Step[] {
  const whole = path.steps.reduce((sum, { start, end }) => sum + end - start, 0);
  const named = path.steps.filter(({ start, end }) => end - start >= whole * WORTH_NAMING);
  const longest = named.sort((a, b) => b.end - b.start - (a.end - a.start)).slice(0, most);
  return longest.sort((a, b) => a.start - b.start);
}

function ownSpans(timeline: Timeline, traceId: string): Span[] {
  const spans = timeline.lanes.flatMap((lane) => [...lane.bars, ...lane.bands].map(({ span }) => span));
  return spans.filter((span) => span.trace_id === traceId);
}

/** By parent; of each parent the last to end first. */
function childrenOf(spans: readonly Span[]): Map<string, Span[]> {
  const children = new Map<string, Span[]>();
  for (const span of spans) {
    const siblings = children.get(span.parent_span_id);
    if (siblings === undefined) children.set(span.parent_span_id, [span]);
    else siblings.push(span);
  }
  for (const siblings of children.values()) siblings.sort((a, b) => endOf(b) - endOf(a) || a.start_ns - b.start_ns);
  return children;
}

function endOf(span: Span): number {
  return span.start_ns + span.duration_ns;
}

class Walk {
  /** The last first. */
  readonly steps: Step[] = [];
  readonly #originNs: number;
  readonly #children: ReadonlyMap<string, readonly Span[]>;

  constructor(originNs: number, children: ReadonlyMap<string, readonly Span[]>) {
    this.#originNs = originNs;
    this.#children = children;
  }

  /** The path from `until` back to `from` within `span`. */
  down(span: Span, from: number, until: number, depth: number): void {
    let at = until;
    for (const child of depth < MAX_DEPTH ? (this.#children.get(span.span_id) ?? []) : []) {
      const start = Math.max(child.start_ns - this.#originNs, from);
      const end = Math.min(endOf(child) - this.#originNs, at);
      // Something else was waited for beyond its end, or it is over before the stretch begins.
      if (end - start < GRAIN_NS || endOf(child) - this.#originNs > at + GRAIN_NS) continue;
      this.#own(span, end, at);
      this.down(child, start, end, depth + 1);
      at = start;
    }
    this.#own(span, from, at);
  }

  /** A stretch on the span itself; the queue wait in it is a step of its own. */
  #own(span: Span, from: number, until: number): void {
    const runStart = kindOf(span) === "bridge" ? span.start_ns - this.#originNs + phasesOf(span).waitNs : -Infinity;
    if (until > runStart) this.#step(span, Math.max(from, runStart), until, false);
    if (from < runStart) this.#step(span, from, Math.min(until, runStart), true);
  }

  #step(span: Span, start: number, end: number, waiting: boolean): void {
    if (end <= start) return;
    const last = this.steps.at(-1);
    const key = keyOf(span);
    if (last !== undefined && last.key === key && last.waiting === waiting && last.start - end < GRAIN_NS) last.start = start;
    else this.steps.push({ key, span, start, end, waiting });
  }
}
