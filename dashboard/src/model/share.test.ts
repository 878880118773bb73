import { describe, expect, it } from "vitest";
import * as sem from "../api/semconv";
import { bridge, LOOP, MS, OTHER_ID, request, span, thread, trace } from "./samples";
import { sharesOf } from "./share";

describe("sharesOf", () => {
  it("counts each instant of the request once", () => {
    const root = request(100);
    const shares = sharesOf(
      trace([
        root,
        bridge("a", 10, [20, 30, 5], 2), // waits 10-30, runs 30-60, resumes 60-65
        bridge("b", 10, [50, 10, 0], 2), // waits 10-60 while the first runs, runs 60-70
        span("SELECT x", 40, 10, { attributes: { ...thread(2, "shared"), [sem.DB_SYSTEM]: "sqlite" } }),
        span("event_loop blocked", 80, 10, { attributes: LOOP }),
      ]),
    );

    expect(Object.fromEntries(shares.map(({ slice, ns }) => [slice, ns / MS]))).toEqual({
      blocking: 10, query: 10, run: 30, wait: 20, other: 30,
    });
    expect(shares.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
  });

  it("tells stalls suffered from stalls caused", () => {
    const stall = span("event_loop blocked", -20, 50, { trace_id: OTHER_ID, attributes: LOOP });
    const shares = sharesOf(trace([request(100)], [stall]));

    expect(shares).toMatchObject([{ slice: "stalled", ns: 30 * MS }, { slice: "other", ns: 70 * MS }]);
  });

  it("does not call it running while the thread of a call is parked", () => {
    const outer = bridge("middleware", 0, [0, 100, 0], 2);
    const parked = span("async_to_sync inner", 10, 80, { parent_span_id: outer.span_id, attributes: thread(2, "request") });
    const inner = bridge("load", 30, [20, 10, 0], 2, { parent_span_id: parked.span_id });
    const shares = sharesOf(trace([request(100), outer, parked, inner]));

    // Runs 0-10, then 50-60 below the parked thread, then 90-100; the inner call waits 30-50.
    expect(shares.map(({ slice, ns }) => [slice, ns / MS])).toEqual([["run", 30], ["wait", 20], ["other", 50]]);
  });

  it("has nothing to say of a trace without length", () => {
    expect(sharesOf(trace([]))).toEqual([]);
    expect(sharesOf(trace([request(0)]))).toEqual([]);
  });
});
