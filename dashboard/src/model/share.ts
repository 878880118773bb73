/** Where the time of a request went, each instant counted once: the collector's sums, as slices of a bar. */

import type { Shares, Trace } from "../api/types";
import { text } from "../text";

export type Slice = "blocking" | "query" | "run" | "stalled" | "wait" | "resume" | "other";

/** Progress before waiting, the precedence that the collector uses for simultaneous activities. */
const ORDER: readonly Slice[] = ["blocking", "query", "run", "stalled", "wait", "resume", "other"];

export interface Share {
  slice: Slice;
  ns: number;
  /** Share of the request, 0 to 1. */
  share: number;
}

/** The non-empty slices of the trace's root. Their sum is its duration. */
export function sharesOf({ shares }: Pick<Trace, "shares">): Share[] {
  if (shares.total_ns <= 0) return [];
  const all = ORDER.map((slice) => ({ slice, ns: partOf(shares, slice) }));
  return all.filter(({ ns }) => ns > 0).map(({ slice, ns }) => ({ slice, ns, share: ns / shares.total_ns }));
}

function partOf(shares: Shares, slice: Slice): number {
  return shares[`${slice}_ns`];
}

export const SLICE_WORDS: Record<Slice, { label: string; meaning: string }> = text.slices;
