/** Waiters and holders as rows and columns, each with its total loss or cost. */

import type { Cell, Contention } from "../api/types";

export interface MatrixRow {
  /** Index in the response's waiters. */
  waiter: number;
  /** By column; null if the two never met. */
  cells: (Cell | null)[];
}

/** The rows of the matrix in the response's order: the most time lost first. */
export function rowsOf({ waiters, holders, cells }: Pick<Contention, "waiters" | "holders" | "cells">): MatrixRow[] {
  const byPlace = new Map(cells.map((cell) => [cell.waiter * holders.length + cell.holder, cell]));
  return waiters.map((_, waiter) => ({
    waiter,
    cells: holders.map((_holder, holder) => byPlace.get(waiter * holders.length + holder) ?? null),
  }));
}

/** The cells as pairs, the most time lost first: for screens too narrow for a matrix. */
export function pairsOf(cells: readonly Cell[]): Cell[] {
  return [...cells].sort((a, b) => b.overlap_ns - a.overlap_ns);
}

/** Intensity of a cell, 0 to 4: by the square root, so that small values are visible beside a large one. */
export function heatOf(cell: Cell | null, most: number): number {
  if (cell === null || cell.overlap_ns <= 0 || most <= 0) return 0;
  return Math.max(1, Math.ceil(Math.sqrt(cell.overlap_ns / most) * 4));
}
