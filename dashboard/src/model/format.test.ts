import { describe, expect, it } from "vitest";
import { ago, count, duration, momentNs, percent, place, plural, shortFile, significant, utc } from "./format";

/** Units stand behind a narrow no-break space. */
const plain = (text: string): string => text.replaceAll("\u202f", " ");

describe("duration", () => {
  it.each([
    [0, "0 ms"],
    [1, "1 ns"],
    [999, "999 ns"],
    [1500, "1.5 \u00b5s"],
    [999_960, "1 ms"],
    [12_345_678, "12.3 ms"],
    [123_456_789, "123 ms"],
    [1.5e9, "1.5 s"],
    [90e9, "1.5 min"],
    [5400e9, "1.5 h"],
    [1e6 * 3600e9, "1,000,000 h"],
    [-8e6, "-8 ms"],
  ])("writes %d ns as %s", (ns, text) => {
    expect(plain(duration(ns))).toBe(text);
  });
});

describe("percent", () => {
  it.each([
    [0, "0 %"],
    [0.0001, "< 0.1 %"],
    [0.0016, "0.2 %"],
    [0.12, "12 %"],
    [1, "100 %"],
  ])("writes %d as %s", (share, text) => {
    expect(plain(percent(share))).toBe(text);
  });
});

describe("count", () => {
  it("is exact below ten thousand and short above", () => {
    expect([0, 9999, 12_345, 1_234_567, 2e9].map((value) => plain(count(value)))).toEqual([
      "0", "9,999", "12.3 k", "1.23 M", "2 G",
    ]);
    expect([plural(1, "process", "processes"), plural(2, "process", "processes")]).toEqual(["1 process", "2 processes"]);
  });
});

it("keeps three digits at most", () => {
  expect([0.456, 9.996, 12.34, 100.4, 0].map(significant)).toEqual(["0.46", "10", "12.3", "100", "0"]);
});

it("says how long ago a moment was", () => {
  const now = 1_795_259_538_000;
  const before = (seconds: number): string => plain(ago((now - seconds * 1000) * 1e6, now));
  expect([0, 59, 60, 3600, 86_400 * 3].map(before)).toEqual(["just now", "59 s ago", "1 min ago", "1 h ago", "3 d ago"]);
  expect([-1, -5, -90, -7200, -86_400 * 7].map(before)).toEqual(["just now", "in 5 s", "in 2 min", "in 2 h", "in 7 d"]);
});

it("reads the API's moments, and nothing else", () => {
  expect(momentNs("2026-11-21T11:11:11.022Z")).toBe(Date.UTC(2026, 10, 21, 11, 11, 11, 22) * 1e6);
  expect(momentNs("yesterday")).toBeNull();
  expect(utc(0)).toBe("1970-01-01 00:00:00.000 UTC");
});

it("shortens paths to what tells files apart", () => {
  expect(shortFile("shop/views.py")).toBe("shop/views.py");
  expect(shortFile("/venv/lib/python3.12/site-packages/allauth/account/middleware.py")).toBe("allauth/account/middleware.py");
  expect(shortFile("/usr/lib/python3.13/asyncio/events.py")).toBe("asyncio/events.py");
  expect(shortFile("/home/ci/builds/shop/catalog/views.py")).toBe("\u2026/shop/catalog/views.py");
  expect([place("a.py", 41), place("a.py", 0), place("", 3)]).toEqual(["a.py:41", "a.py", ""]);
});
