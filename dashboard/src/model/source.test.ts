import { expect, test } from "vitest";
import { sourceLines } from "./source";

test("lines keep their numbers and lose the indent they share", () => {
  const lines = ["    for row in rows:", "", "        save(row)"];
  expect(sourceLines({ first_line: 40, line: 42, lines })).toEqual([
    { number: 40, text: "for row in rows:", marked: false },
    { number: 41, text: "", marked: false },
    { number: 42, text: "    save(row)", marked: true },
  ]);
});

test("nothing but blank lines stays as it is", () => {
  expect(sourceLines({ first_line: 1, line: 9, lines: ["", ""] }).map(({ text }) => text)).toEqual(["", ""]);
});
