import { describe, expect, it } from "vitest";
import type { PathStep, Span, Trace } from "../api/types";
import { criticalNs, criticalPathOf, longestSteps } from "./critical";
import { bridge, heldBy, LOOP, MS, request, span, T0, trace } from "./samples";

const root = request(100);
const holder = bridge("export", -50, [0, 80, 0], 2, { trace_id: "b".repeat(32) });
const call = bridge("load", 20, [30, 40, 10], 2, { parent_span_id: root.span_id, links: [heldBy(holder, 30)] });
const query = span("SELECT orders", 60, 20, { parent_span_id: call.span_id, attributes: LOOP });

function withPath(spans: Span[], ...path: [Span, number, number, PathStep["part"]][]): Trace {
  const steps = path.map(([on, start, end, part]) => ({
    span_id: on.span_id,
    start_ns: T0 + start * MS,
    duration_ns: (end - start) * MS,
    part,
  }));
  return { ...trace(spans, [holder]), critical_path: steps };
}

const whole = withPath(
  [root, call, query],
  [root, 0, 20, "run"], [call, 20, 50, "wait"], [call, 50, 60, "run"],
  [query, 60, 80, "run"], [call, 80, 90, "run"], [call, 90, 100, "resume"],
);

describe("criticalPathOf", () => {
  it("gives each step its span and its time from the origin", () => {
    const { steps } = criticalPathOf(whole, T0);
    const said = steps.map(({ span: on, start, end, part }) => [on.name, start / MS, end / MS, part]);

    expect(said).toEqual([
      ["GET products/", 0, 20, "run"],
      ["sync_to_async shop.load", 20, 50, "wait"],
      ["sync_to_async shop.load", 50, 60, "run"],
      ["SELECT orders", 60, 80, "run"],
      ["sync_to_async shop.load", 80, 90, "run"],
      ["sync_to_async shop.load", 90, 100, "resume"],
    ]);
  });

  it("leads from a wait to the holder of another request", () => {
    expect(criticalPathOf(whole, T0).keys).toContain(`${holder.trace_id}/${holder.span_id}`);
  });

  it("leaves out what was not loaded", () => {
    expect(criticalPathOf({ ...whole, spans: [root] }, T0).steps).toHaveLength(1);
  });
});

it("sums what lies on one span", () => {
  expect(criticalNs(criticalPathOf(whole, T0), `${call.trace_id}/${call.span_id}`)).toBe(60 * MS);
});

it("names the longest steps in the order of time, and none that cost next to nothing", () => {
  const brief = withPath([root, query], [root, 0, 0.5, "run"], [query, 0.5, 100, "run"]);

  expect(longestSteps(criticalPathOf(whole, T0), 2).map(({ start }) => start / MS)).toEqual([0, 20]);
  expect(longestSteps(criticalPathOf(brief, T0), 9)).toHaveLength(1);
});
