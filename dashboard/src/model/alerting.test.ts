import { expect, it } from "vitest";
import { isBeyond, matchersOf, ownNotes, readMatchers, scaleOf, silenceOf, valueText, writeMatchers } from "./alerting";

it("writes values in the unit of their rule", () => {
  const written = [[0.126, "share"], [2.5e9, "ns"], [12, "count"], [2.5, "ratio"], [null, "ns"]] as const;

  expect(written.map(([value, unit]) => valueText(value, unit))).toEqual(["13\u202f%", "2.5\u202fs", "12", "2.5\u00d7", ""]);
});

it("shows a rule's values against its limit", () => {
  expect(scaleOf({ history: [{ time_ns: 0, value: 3 }, { time_ns: 1, value: null }], threshold: 10 })).toBe(12.5);
  expect(scaleOf({ history: [{ time_ns: 0, value: 30 }], threshold: 10 })).toBe(30);
  expect(scaleOf({ history: [], threshold: 0 })).toBe(1);
});

it("silences an alert by what tells it from others", () => {
  const labels = { alertname: "loop-blocked", severity: "error", service: "shop", route: "", finding: "abc" };

  expect(matchersOf({ labels })).toEqual([{ name: "alertname", value: "loop-blocked" }, { name: "service", value: "shop" }]);
});

it("reads matchers back from an address, whatever stands in them", () => {
  const matchers = [{ name: "route", value: "/a;b=c&d/%" }, { name: "service", value: "<b>" }];

  expect(readMatchers(writeMatchers(matchers))).toEqual(matchers);
  expect(readMatchers("=x;novalue;a=%E0%A4%A")).toEqual([]);
});

it("makes no silence of everything, and none without an end", () => {
  expect(silenceOf([{ name: "service", value: " " }], "4h", "")).toBeNull();
  expect(silenceOf([{ name: "service", value: "shop" }], "", "")).toBeNull();
  expect(silenceOf([{ name: "service", value: " shop " }], "4h", " why ")).toEqual({
    matchers: [{ name: "service", value: "shop" }], duration_ns: 4 * 3600e9, comment: "why",
  });
});

it("takes a rule's own annotations for words, and only an address of the web for a link", () => {
  const annotations = {
    summary: "s", condition: "c", runbook: "https://wiki.example.com/a?b=c", note: "see https://x.example", bad: "javascript:alert(1)",
  };

  expect(ownNotes({ annotations }).map(({ name, host }) => [name, host])).toEqual([
    ["bad", ""],
    ["note", ""],
    ["runbook", "wiki.example.com"],
  ]);
});

it("knows on which side of its limit a rule holds", () => {
  expect([9, 11].map((value) => isBeyond(value, { threshold: 10, below: false }))).toEqual([false, true]);
  expect([9, 11].map((value) => isBeyond(value, { threshold: 10, below: true }))).toEqual([true, false]);
});
