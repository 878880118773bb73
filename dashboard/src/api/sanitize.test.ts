import { expect, it } from "vitest";
import { sanitize, parseSanitized } from "./sanitize";

it("keeps text as it is, tabs and newlines too", () => {
  expect(sanitize("<b>é 漢字</b>\n\tSELECT")).toBe("<b>é 漢字</b>\n\tSELECT");
});

it("shows where characters stood that act instead of being read", () => {
  expect(sanitize("views\u202eyp.\u0000\u001b[31m\u2066")).toBe("views\ufffdyp.\ufffd\ufffd[31m\ufffd");
});

it("makes values and names of JSON inert, at every depth", () => {
  expect(parseSanitized('{"a\\u202e": ["x\\u0007", {"b": "c\\u2069", "n": 1}], "ok": true}')).toEqual({
    "a\ufffd": ["x\ufffd", { b: "c\ufffd", n: 1 }],
    ok: true,
  });
});

it("makes no prototype of a name", () => {
  const parsed = parseSanitized('{"__proto__": {"polluted": true}, "x\\u202e": 1}') as Record<string, unknown>;

  expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  expect(parsed["polluted"]).toBeUndefined();
});
