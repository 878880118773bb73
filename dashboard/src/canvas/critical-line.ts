/** The critical path as one line over the bars: along the foot of each, and down or up to the next. */

import type { CriticalPath } from "../model/critical";
import type { Brush } from "./paint";

/** Where things are in this frame. */
export interface Frame {
  width: number;
  x(time: number): number;
  /** The foot of a span's bar; null where it is not drawn. */
  foot(key: string): number | null;
  start: number;
  end: number;
}

/** Steps narrower than this are joined: of ten thousand most are. CSS pixels. */
const LEAST = 1;

export function drawCritical(brush: Brush, path: CriticalPath, frame: Frame): void {
  const points: [number, number][] = [];
  for (const { key, start, end } of path.steps) {
    if (end < frame.start || start > frame.end) continue;
    const y = frame.foot(key);
    if (y === null) continue;
    const left = Math.max(frame.x(start), -10);
    const right = Math.min(frame.x(end), frame.width + 10);
    const before = points.at(-1);
    if (right - left < LEAST && before !== undefined && left - before[0] < LEAST) continue;
    points.push([left, y], [right, y]);
  }
  brush.path(points);
}
