/** Who waited for whom: from the wait of a bridge call to the run of the call that held the thread. */

import * as sem from "../api/semconv";
import type { Span } from "../api/types";
import type { Bar } from "./lanes";
import { keyOf, linksOf, numberOf, phasesOf } from "./spans";

export interface Arrow {
  waiter: Bar;
  holder: Bar;
  /** The part of the wait in which the holder ran; ns from the trace's origin. */
  start: number;
  end: number;
  /** As measured in the process. */
  overlapNs: number;
}

/** The longest first. A holder that was not kept (not sampled, expired) has no arrow; the wait names it. */
export function arrowsOf(spans: readonly Span[], originNs: number, bars: ReadonlyMap<string, Bar>): Arrow[] {
  const arrows: Arrow[] = [];
  for (const span of spans) {
    const waiter = bars.get(keyOf(span));
    if (waiter === undefined) continue;
    for (const link of linksOf(span, sem.HELD_BY)) {
      const holder = bars.get(keyOf(link));
      if (holder === undefined || holder === waiter) continue;
      const overlapNs = numberOf(link.attributes, sem.OVERLAP_NS) ?? 0;
      arrows.push({ waiter, holder, overlapNs, ...overlap(span, originNs, waiter, holder) });
    }
  }
  return arrows.sort((a, b) => b.overlapNs - a.overlapNs);
}

function overlap(span: Span, originNs: number, waiter: Bar, holder: Bar): { start: number; end: number } {
  const waitStart = span.start_ns - originNs;
  const waitEnd = waitStart + phasesOf(span).waitNs;
  const start = Math.max(waitStart, holder.runStart);
  const end = Math.min(waitEnd, holder.end);
  // Clocks of two processes, or a holder still running when it was reported: keep to the wait.
  return start <= end ? { start, end } : { start: waiter.start, end: waiter.runStart };
}

/** The arrows of each waiter and of each holder, in the order of `arrows`. */
export function arrowsByKey(arrows: readonly Arrow[]): Map<string, Arrow[]> {
  const found = new Map<string, Arrow[]>();
  for (const arrow of arrows) {
    for (const { key } of [arrow.waiter, arrow.holder]) {
      const known = found.get(key);
      if (known === undefined) found.set(key, [arrow]);
      else known.push(arrow);
    }
  }
  return found;
}
