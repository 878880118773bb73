/**
 * The pieces to draw in a row of thousands: found by time, and pieces too short to be distinguished are thinned out.
 * So the cost of a frame grows with the width of the screen and not with the trace.
 */

import type { Viewport } from "./viewport";

export interface Piece {
  readonly start: number;
  readonly end: number;
}

/** Pieces by start time, with an index to find one by its end. */
export interface Row<T extends Piece> {
  readonly pieces: readonly T[];
  /** Maximum end of the pieces up to each: monotonic, even if pieces overlap. */
  readonly ends: Float64Array;
}

export function rowOf<T extends Piece>(pieces: readonly T[]): Row<T> {
  const ends = new Float64Array(pieces.length);
  let latest = -Infinity;
  pieces.forEach((piece, index) => {
    latest = Math.max(latest, piece.end);
    ends[index] = latest;
  });
  return { pieces, ends };
}

/** The first piece from `from` on that may end after `time`; the length of the row if there is none. */
export function firstEnding<T extends Piece>({ ends }: Row<T>, time: number, from = 0): number {
  let low = from;
  let high = ends.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ends[middle] ?? 0) < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Calls `draw` with every piece in `view` that is longer than `least` (ns), and with one of the others per interval of
 * that length, in chronological order.
 */
export function eachVisible<T extends Piece>(row: Row<T>, view: Viewport, least: number, draw: (piece: T) => void): void {
  const { pieces } = row;
  let painted = -Infinity;
  for (let index = firstEnding(row, view.start); index < pieces.length; index += 1) {
    const piece = pieces[index];
    if (piece === undefined || piece.start > view.end) return;
    const short = piece.end - piece.start <= least;
    if (piece.end < view.start) continue;
    if (short && piece.start < painted) {
      // Nothing before the piece that ends after the interval can be longer than the interval and start in it.
      index = firstEnding(row, painted, index + 1) - 1;
      continue;
    }
    draw(piece);
    painted = Math.max(painted, piece.start + (short ? least : piece.end - piece.start));
  }
}
