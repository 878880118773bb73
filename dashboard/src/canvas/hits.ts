/** Hit testing: the piece at a point of the timeline. */

import type { Span } from "../api/types";
import { type LanePlace, ROW_HEIGHT, TAIL_HEIGHT } from "./layout";

export interface Hit {
  key: string;
  span: Span;
  isLinked: boolean;
  part: "bar" | "band" | "tail";
}

interface Piece {
  key: string;
  span: Span;
  start: number;
  end: number;
  isLinked?: boolean;
}

/** The piece at `time` and `y` (see layout); a short one also counts up to `slackNs` beside it. */
export function hitAt(places: readonly LanePlace[], time: number, y: number, slackNs: number): Hit | null {
  const place = places.find(({ top, bottom }) => y >= top && y < bottom);
  if (place === undefined) return null;
  const { lane } = place;
  if (y >= place.rowsTop && y < place.tailsTop) {
    const row = Math.floor((y - place.rowsTop) / ROW_HEIGHT);
    const bar = nearest(place.rows[row]?.pieces ?? [], time, slackNs);
    if (bar !== null) return hit(bar, "bar");
  }
  if (y >= place.tailsTop && y < place.tailsTop + TAIL_HEIGHT + 2) {
    const tail = nearest(lane.tails, time, slackNs);
    if (tail !== null) return hit(tail, "tail");
  }
  const band = y >= place.bandsTop ? nearest(lane.bands, time, slackNs) : null;
  return band === null ? null : hit(band, "band");
}

function hit(piece: Piece, part: Hit["part"]): Hit {
  return { key: piece.key, span: piece.span, isLinked: piece.isLinked ?? false, part };
}

function nearest<T extends Piece>(pieces: readonly T[], time: number, slackNs: number): T | null {
  let best: T | null = null;
  let bestDistance = slackNs;
  for (const piece of pieces) {
    const distance = Math.max(piece.start - time, time - piece.end, 0);
    // Of several within reach the closest, then the shortest, which would otherwise be unreachable.
    const closer = distance < bestDistance || (distance === bestDistance && best !== null && length(piece) < length(best));
    if (distance <= slackNs && (best === null || closer)) {
      best = piece;
      bestDistance = distance;
    }
  }
  return best;
}

function length(piece: Piece): number {
  return piece.end - piece.start;
}
