import { expect, it } from "vitest";
import type { StatusOutput } from "../api/types";
import { storeWarnings } from "./store";
import { GIB, WELL } from "./store.samples";

const said = (changes: Partial<StatusOutput>): string[] =>
  storeWarnings({ ...WELL, ...changes }).map((warning) => warning.replaceAll("\u202f", " "));

it("is silent while all is well", () => {
  expect(said({})).toEqual([]);
});

it("warns of a disk that fills, with what happens then", () => {
  expect(said({ disk_low: true, disk_free_bytes: 1.5 * GIB })).toEqual([
    "The disk fills: 1.5 GiB of 100 GiB are free; with less than 1 GiB, what is sent is refused.",
  ]);
});

it("says why what is sent is refused, and that alone", () => {
  expect(said({ disk_low: true, accepting: false, refusing_because: "the disk is full" })).toEqual([
    "What is sent is refused: the disk is full",
  ]);
});

it("says that the store does not keep up", () => {
  expect(said({ spool_bytes: GIB / 4 })).toEqual(["The store does not keep up: 256 MiB wait to be stored, 50 % of what may."]);
});
