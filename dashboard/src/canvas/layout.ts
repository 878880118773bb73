/** Vertical positions of lanes and rows; y in CSS pixels from the top of the first lane. */

import type { Bar, Lane, Tail, Timeline } from "../model/lanes";
import { type Row, rowOf } from "../model/visible";

export const AXIS_HEIGHT = 22;
export const HEADER_HEIGHT = 20;
export const ROW_HEIGHT = 20;
export const BAR_HEIGHT = 17;
export const BAND_LABEL_HEIGHT = 20;
export const TAIL_HEIGHT = 7;
const PADDING = 8;

export interface LanePlace {
  lane: Lane;
  /** The bars of each row; bars of one row hardly overlap. */
  rows: readonly Row<Bar>[];
  refusals: Row<Bar>;
  tails: Row<Tail>;
  top: number;
  /** Top of the row of stall labels; equals `rowsTop` if there is none. */
  bandsTop: number;
  rowsTop: number;
  tailsTop: number;
  bottom: number;
}

export function layoutOf(timeline: Timeline): LanePlace[] {
  let top = 0;
  return timeline.lanes.map((lane) => {
    const bandsTop = top + HEADER_HEIGHT;
    const rowsTop = bandsTop + (lane.bands.length > 0 ? BAND_LABEL_HEIGHT : 0);
    const tailsTop = rowsTop + lane.rows * ROW_HEIGHT;
    const bottom = tailsTop + (lane.tails.length > 0 ? TAIL_HEIGHT + 2 : 0) + PADDING;
    const rows = rowsOf(lane);
    const tails = rowOf([...lane.tails].sort((a, b) => a.start - b.start));
    const refusals = rowOf(lane.bars.filter(({ kind }) => kind === "refusal"));
    const place = { lane, rows, refusals, tails, top, bandsTop, rowsTop, tailsTop, bottom };
    top = bottom;
    return place;
  });
}

function rowsOf(lane: Lane): Row<Bar>[] {
  const rows: Bar[][] = Array.from({ length: lane.rows }, () => []);
  for (const bar of lane.bars) rows[bar.row]?.push(bar);
  return rows.map(rowOf);
}

export function heightOf(places: readonly LanePlace[]): number {
  return places.at(-1)?.bottom ?? 0;
}

/** The top of a row's bars. */
export function rowTop(place: LanePlace, row: number): number {
  return place.rowsTop + row * ROW_HEIGHT;
}
