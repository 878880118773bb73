/** The critical path of a request for display: the collector determines the span at each moment. */

import * as sem from "../api/semconv";
import type { PathStep, Span, Trace } from "../api/types";
import { keyOf, linksOf } from "./spans";

/** A segment of the path on one span; ns from the trace's origin. */
export interface Step {
  key: string;
  span: Span;
  start: number;
  end: number;
  part: PathStep["part"];
}

export interface CriticalPath {
  /** By time; they do not overlap. */
  steps: Step[];
  /** The spans of the steps, and the holders of the waits among them. */
  keys: ReadonlySet<string>;
}

export function criticalPathOf(trace: Trace, originNs: number): CriticalPath {
  const spans = new Map(trace.spans.map((span) => [span.span_id, span]));
  const steps = trace.critical_path.flatMap(({ span_id: id, start_ns: startNs, duration_ns: durationNs, part }) => {
    const span = spans.get(id);
    const start = startNs - originNs;
    // In a truncated trace, the path may be on spans that were not loaded.
    return span === undefined ? [] : [{ key: keyOf(span), span, start, end: start + durationNs, part }];
  });
  const keys = new Set(steps.map(({ key }) => key));
  for (const { span, part } of steps) {
    if (part === "wait") for (const link of linksOf(span, sem.HELD_BY)) keys.add(keyOf(link));
  }
  return { steps, keys };
}

/** How long the path is on a span, ns. */
export function criticalNs(path: CriticalPath, key: string): number {
  return path.steps.reduce((sum, step) => (step.key === key ? sum + step.end - step.start : sum), 0);
}

/** Smallest share of the path of a step that is listed. */
const WORTH_NAMING = 0.01;

/** The longest steps, at most `most` of them, by time. */
export function longestSteps(path: CriticalPath, most: number): Step[] {
  const whole = path.steps.reduce((sum, { start, end }) => sum + end - start, 0);
  const named = path.steps.filter(({ start, end }) => end - start >= whole * WORTH_NAMING);
  const longest = named.sort((a, b) => b.end - b.start - (a.end - a.start)).slice(0, most);
  return longest.sort((a, b) => a.start - b.start);
}
