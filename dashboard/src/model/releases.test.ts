import { expect, it } from "vitest";
import type { Release, Side } from "../api/types";
import { figuresOf, pairOf } from "./releases";

const release = (version: string, hour: number, service = "shop"): Release => ({
  service, environment: "", version, requests: 1,
  first_seen: `2026-11-21T${String(hour).padStart(2, "0")}:00:00Z`, last_seen: "2026-11-21T23:00:00Z",
});
const newestFirst = [release("1.2", 12), release("", 11), release("7", 10, "api"), release("1.1", 9), release("1.0", 8)];

it("compares the newest release with the one before it", () => {
  expect(pairOf(newestFirst, "", "", "")).toEqual({ service: "shop", environment: "", base: "1.1", other: "1.2" });
});

it("takes what the address names", () => {
  expect(pairOf(newestFirst, "shop", "1.0", "1.2")).toMatchObject({ base: "1.0", other: "1.2" });
  expect(pairOf(newestFirst, "", "", "1.1")).toMatchObject({ base: "1.0", other: "1.1" });
});

it("finds no pair where there is one release or none", () => {
  expect(pairOf([release("7", 10, "api"), release("", 3)], "", "", "")).toBeNull();
});

const SIDE: Side = {
  version: "", since_ns: 0, until_ns: 1, requests: 1000, requests_per_second: 5, error_share: 0, duration_p50_ns: 10e6,
  errors: 0, responses: { informational: 0, successful: 100, redirection: 0, client_error: 0, server_error: 0, unanswered: 0, unknown: 0 },
  duration_p95_ns: 40e6, hops_per_request: 8, wait_p95_ns: 20e6, loop_blocked_share: 0.2, refusals: 0,
};

it("says which figures got better, worse or neither", () => {
  const rows = figuresOf({ base: SIDE, other: { ...SIDE, loop_blocked_share: 0.02, refusals: 3, requests: 9, hops_per_request: 8.1 } });
  const trends = Object.fromEntries(rows.map(({ name, trend }) => [name, trend]));

  expect(trends).toMatchObject({ blocked: "better", refusals: "worse", requests: "same", hops: "same", errors: "same" });
  expect(rows.find(({ name }) => name === "refusals")?.change).toBeNull();
  expect(rows.find(({ name }) => name === "blocked")?.change).toBeCloseTo(-0.9);
});
