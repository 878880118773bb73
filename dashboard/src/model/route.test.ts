import { describe, expect, it } from "vitest";
import { href, parseRoute, shared, wholeParam } from "./route";

describe("parseRoute", () => {
  it.each([
    ["", "overview", ""],
    ["#/", "overview", ""],
    ["#/findings?kind=refusal", "findings", ""],
    ["#/findings/11761eb1492ef4cc", "finding", "11761eb1492ef4cc"],
    ["#/traces/ab%2Fcd", "trace", "ab/cd"],
    ["#/nonsense", null, ""],
    ["#/contention", "contention", ""],
    ["#/alerts", "alerts", ""],
    ["#/overview/1", null, "1"],
    ["#/traces/1/2", null, ""],
    ["#/traces/%E0%A4%A", null, ""],
    ["#/__proto__", null, ""],
  ])("reads %s", (hash, view, id) => {
    expect(parseRoute(hash)).toMatchObject({ view, id });
  });

  it("is undone by href", () => {
    const address = href("finding", "a/b c", { service: "s&t", q: "x=1", empty: "" });

    expect(parseRoute(address)).toEqual({ view: "finding", id: "a/b c", params: { service: "s&t", q: "x=1" } });
  });
});

it("carries service, environment and range on, and nothing else", () => {
  const kept = { service: "shop", environment: "staging", since: "2h", until: "1h" };
  const query = new URLSearchParams({ ...kept, q: "x" }).toString();
  expect(shared(parseRoute(`#/findings?${query}`))).toEqual(kept);
});

it("falls back where the address asks for what does not exist", () => {
  expect(["2", "0", "-1", "x", "1e9", ""].map((page) => wholeParam(parseRoute(`#/?page=${page}`), "page", 1, 1))).toEqual([
    2, 1, 1, 1, 1, 1,
  ]);
});
