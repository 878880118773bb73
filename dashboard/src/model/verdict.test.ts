import { describe, expect, it } from "vitest";
import type { Finding, FindingKind, Overview, ServiceHealth } from "../api/types";
import { isCurrent, verdictsOf } from "./verdict";

const HEALTHY: ServiceHealth = {
  service: "shop",
  requests: 1000,
  requests_per_second: 1,
  errors: 0,
  responses: { informational: 0, successful: 1000, redirection: 0, client_error: 0, server_error: 0, unanswered: 0, unknown: 0 },
  duration_p50_ns: 0,
  duration_p95_ns: 0,
  longest_stall_ns: 0,
  calls: 0,
  queued: 0,
  exact: true,
  watched: true,
  environments: [],
  versions: [],
  loop_blocked_ns: 0,
  loop_blocked_share: 0,
  processes: 1,
  wait_ns: 0,
  wait_p50_ns: 0,
  wait_p95_ns: 0,
  wait_p99_ns: 0,
  shared_waits: 0,
  refusals: 0,
  hops_per_request: 2,
  last_seen: "2026-11-21T11:11:11Z",
};

function finding(kind: FindingKind, service = "shop"): Finding {
  return { kind, service, id: kind } as Finding;
}

function overview(services: Partial<ServiceHealth>[], findings: Finding[] = []): Overview {
  return {
    since_ns: 0,
    until_ns: 1,
    step_ns: 1,
    services: services.map((changes) => ({ ...HEALTHY, ...changes })),
    series: [],
    findings,
    findings_total: findings.length,
    releases: [],
  };
}

const said = (subject: Overview): [string, string, string][] =>
  verdictsOf(subject).map(({ level, text, finding: worst }) => [level, text.replaceAll("\u202f", " "), worst?.kind ?? ""]);

describe("verdictsOf", () => {
  it("says that nothing is wrong, and of how much", () => {
    expect(said(overview([{}, { service: "api" }]))).toEqual([
      ["good", "Nothing blocks, waits or is refused in `shop`, `api` (2,000 requests)", ""],
    ]);
  });

  it("names share and worst place of a blocked loop", () => {
    expect(said(overview([{ loop_blocked_share: 0.12 }], [finding("contention"), finding("loop_blocked")]))).toEqual([
      ["bad", "Event loop of `shop` blocked 12 % of the time", "loop_blocked"],
    ]);
  });

  it("blames no finding of another service", () => {
    expect(said(overview([{ loop_blocked_share: 0.12 }], [finding("loop_blocked", "api")]))[0]?.[2]).toBe("");
  });

  it("says that requests fail", () => {
    expect(said(overview([{ requests: 10, errors: 6 }]))).toEqual([["bad", "6 of 10 requests of `shop` failed", ""]]);
  });

  it("gives no all-clear for what nobody watched", () => {
    const node = { service: "node", watched: false, loop_blocked_share: null, hops_per_request: null, requests: 7 };

    expect(said(overview([node]))).toEqual([
      ["unknown", "Event loop of `node` not watched (7 requests): asgiscope does not run there", ""],
    ]);
    expect(said(overview([{}, node]))).toEqual([
      ["unknown", "Event loop of `node` not watched (7 requests): asgiscope does not run there", ""],
      ["good", "Nothing blocks, waits or is refused in `shop` (1,000 requests)", ""],
    ]);
    expect(said(overview([{ ...node, errors: 7 }])).map(([level]) => level)).toEqual(["bad", "unknown"]);
  });

  it("says until when the data goes that it speaks of", () => {
    const last = Date.parse(HEALTHY.last_seen);
    const [verdict] = verdictsOf(overview([{ loop_blocked_share: 0.57 }, { service: "api", last_seen: "2026-11-21T12:00:00Z" }]));

    expect(verdict?.untilNs).toBe(last * 1e6);
    expect(isCurrent(last * 1e6, last + 100_000)).toBe(true);
    expect(isCurrent(last * 1e6, last + 25 * 60_000)).toBe(false);
  });

  it("puts the worst first", () => {
    const levels = said(overview([{ loop_blocked_share: 0.01, refusals: 3, wait_p95_ns: 20e6, shared_waits: 9 }]));

    expect(levels.map(([level, text]) => [level, text])).toEqual([
      ["bad", "3 calls of `shop` refused in 1,000 requests"],
      ["warn", "Event loop of `shop` blocked 1 % of the time"],
      ["warn", "Calls of `shop` wait for their thread: 1 in 20 at least 20 ms, 9 of them for the shared thread"],
    ]);
  });

  it("puts the service that suffers most first", () => {
    const texts = said(overview([{ loop_blocked_share: 0.19 }, { service: "api", loop_blocked_share: 0.31 }]));

    expect(texts.map(([, text]) => text)).toEqual([
      "Event loop of `api` blocked 31 % of the time",
      "Event loop of `shop` blocked 19 % of the time",
    ]);
  });

  it("does not call it good while there are findings", () => {
    expect(said(overview([{}], [finding("hop_storm")]))).toEqual([
      ["warn", "1 finding, none of which users feel much yet", "hop_storm"],
    ]);
  });

  it("says nothing where there is nothing to judge", () => {
    expect(said(overview([]))).toEqual([]);
  });
});
