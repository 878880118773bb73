import { expect, it } from "vitest";
import type { Cell } from "../api/types";
import { heatOf, pairsOf, rowsOf } from "./matrix";

const cell = (waiter: number, holder: number, overlap: number): Cell => ({
  waiter, holder, overlap_ns: overlap, count: 1, trace_id: "",
});
const site = { function: "f", file: "f.py", line: 1 };
const waiter = { finding_id: "", service: "", function: "", call_site: site, wait_ns: 0, count: 0 };
const holder = { function: "", call_site: site, overlap_ns: 0 };

it("puts each pair where its row and column cross", () => {
  const cells = [cell(0, 1, 5), cell(1, 0, 7)];
  const rows = rowsOf({ waiters: [waiter, waiter], holders: [holder, holder], cells });

  expect(rows.map((row) => row.cells.map((each) => each?.overlap_ns ?? 0))).toEqual([[0, 5], [7, 0]]);
});

it("lists the pairs by time lost", () => {
  expect(pairsOf([cell(0, 1, 5), cell(1, 0, 7)]).map(({ waiter: row }) => row)).toEqual([1, 0]);
});

it("shows what is little beside what is much", () => {
  expect([null, cell(0, 0, 0), cell(0, 0, 1), cell(0, 0, 25), cell(0, 0, 100)].map((each) => heatOf(each, 100))).toEqual([0, 0, 1, 2, 4]);
});
