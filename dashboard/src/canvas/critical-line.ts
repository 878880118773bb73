/** The critical path as one line over the bars: along the bottom of each, and down or up to the next. */

import type { Step } from "../model/critical";
import { eachVisible, type Row } from "../model/visible";
import type { Brush } from "./paint";

/** Positions in this frame. */
export interface Frame {
  width: number;
  x(time: number): number;
  /** The bottom of a span's bar; null if it is not drawn. */
  foot(key: string): number | null;
  start: number;
  end: number;
}

/** Steps narrower than this are joined, because most of ten thousand are. CSS pixels. */
const LEAST = 1;

export function drawCritical(brush: Brush, steps: Row<Step>, frame: Frame): void {
  const points: [number, number][] = [];
  eachVisible(steps, frame, (LEAST / frame.width) * (frame.end - frame.start), ({ key, start, end }) => {
    const y = frame.foot(key);
    if (y !== null) points.push([Math.max(frame.x(start), -10), y], [Math.min(frame.x(end), frame.width + 10), y]);
  });
  brush.path(points);
}
