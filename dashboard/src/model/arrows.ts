/** Who waited for whom: from the wait of a bridge call to the run of the call that held the thread. */

import type { Span, Wait } from "../api/types";
import type { Bar } from "./lanes";
import { keyOf } from "./spans";

export interface Arrow {
  waiter: Bar;
  holder: Bar;
  /** The part of the wait in which the holder ran; ns from the trace's origin. */
  start: number;
  end: number;
}

/** In the order of `waits`. A holder that is not stored (not sampled, expired) has no arrow; the wait names it. */
export function arrowsOf(waits: readonly Wait[], spans: readonly Span[], bars: ReadonlyMap<string, Bar>): Arrow[] {
  const barAt = (index: number): Bar | undefined => {
    const span = spans[index];
    return span && bars.get(keyOf(span));
  };
  return waits.flatMap(({ waiter: waits, holder: held, start_ns: start, duration_ns: length }) => {
    const [waiter, holder] = [barAt(waits), barAt(held)];
    return waiter && holder ? [{ waiter, holder, start, end: start + length }] : [];
  });
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
