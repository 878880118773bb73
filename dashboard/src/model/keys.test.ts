import { expect, it } from "vitest";
import { BINDINGS, Keys, SEQUENCE_MS } from "./keys";

it("knows single keys and pairs", () => {
  const keys = new Keys();
  expect(keys.press("?", 0)).toEqual({ do: "help" });
  expect(keys.press("g", 10)).toBeNull();
  expect(keys.press("t", 20)).toEqual({ go: "traces" });
  expect(keys.press("t", 30)).toEqual({ do: "range" });
});

it("forgets the first key of a pair after a while, and after a wrong second one", () => {
  const keys = new Keys();
  keys.press("g", 0);
  expect(keys.press("f", SEQUENCE_MS + 1)).toBeNull();
  keys.press("g", 0);
  expect(keys.press("x", 1)).toBeNull();
  expect(keys.press("f", 2)).toBeNull();
});

it("gives every key one meaning", () => {
  expect(new Set(BINDINGS.map(({ keys }) => keys)).size).toBe(BINDINGS.length);
});
