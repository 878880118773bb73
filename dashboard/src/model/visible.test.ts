import { expect, test } from "vitest";
import { eachVisible, firstEnding, type Piece, rowOf } from "./visible";

function drawn(pieces: Piece[], view: { start: number; end: number }, least: number): Piece[] {
  const seen: Piece[] = [];
  eachVisible(rowOf(pieces), view, least, (piece) => seen.push(piece));
  return seen;
}

const piece = (start: number, length: number): Piece => ({ start, end: start + length });

test("what lies outside the view is not drawn, what reaches into it is", () => {
  const pieces = [piece(0, 10), piece(20, 10), piece(40, 10), piece(60, 10)];
  expect(drawn(pieces, { start: 25, end: 45 }, 1)).toEqual([pieces[1], pieces[2]]);
  expect(drawn(pieces, { start: 31, end: 39 }, 1)).toEqual([]);
});

test("of ten thousand too short to tell apart one is drawn for each stretch of the least length", () => {
  const pieces = Array.from({ length: 10_000 }, (_, index) => piece(index * 10, 5));
  const seen = drawn(pieces, { start: 0, end: 100_000 }, 1_000);
  expect(seen).toHaveLength(100);
  expect(seen.every(({ start }, index) => start === index * 1_000)).toBe(true);
});

test("a long one among the short is drawn wherever it starts", () => {
  const short = Array.from({ length: 100 }, (_, index) => piece(index * 10, 5));
  const long = piece(503, 2_000);
  const seen = drawn([...short.slice(0, 50), long], { start: 0, end: 3_000 }, 100);
  expect(seen).toContain(long);
});

test("a short one that lies over a longer does not hide what follows", () => {
  const over = [piece(0, 1_000), piece(900, 10), piece(1_001, 500)];
  expect(drawn(over, { start: 950, end: 1_600 }, 50)).toEqual([over[0], over[2]]);
});

test("the first piece that may end after a time", () => {
  const row = rowOf([piece(0, 10), piece(20, 10), piece(40, 10)]);
  expect([-5, 10, 11, 30, 50, 51].map((time) => firstEnding(row, time))).toEqual([0, 0, 1, 1, 2, 3]);
});
