import { describe, expect, it } from "vitest";
import { criticalPathOf } from "./critical";
import { timelineOf } from "./lanes";
import { bridge, heldBy, LOOP, MS, request, span, trace } from "./samples";

const root = request(100);
const below = { parent_span_id: root.span_id };

function path(...spans: Parameters<typeof trace>): string[] {
  return criticalPathOf(timelineOf(trace(...spans))).steps.map(
    ({ span: { name }, start, end, waiting }) =>
      `${(start / MS).toFixed(0)}-${(end / MS).toFixed(0)} ${name.split(" ").at(-1)}${waiting ? " waits" : ""}`,
  );
}

describe("criticalPathOf", () => {
  it("is the request itself where nothing else is known", () => {
    expect(path([root])).toEqual(["0-100 products/"]);
  });

  it("follows the last of several that ran at once", () => {
    const short = span("work short", 10, 30, { attributes: LOOP, ...below });
    const long = span("work long", 10, 60, { attributes: LOOP, ...below });

    expect(path([root, short, long])).toEqual(["0-10 products/", "10-70 long", "70-100 products/"]);
  });

  it("goes down into children, and tells waiting from running", () => {
    const call = bridge("load", 20, [30, 40, 0], 2, below);
    const query = span("SELECT orders", 60, 20, { parent_span_id: call.span_id, attributes: LOOP });

    expect(path([root, call, query])).toEqual([
      "0-20 products/", "20-50 shop.load waits", "50-60 shop.load", "60-80 orders", "80-90 shop.load", "90-100 products/",
    ]);
  });

  it("leads from a wait on it to the holder of another request", () => {
    const holder = bridge("export", -50, [0, 80, 0], 2, { trace_id: "b".repeat(32) });
    const call = bridge("load", 20, [30, 40, 0], 2, { ...below, links: [heldBy(holder, 30)] });
    const { keys } = criticalPathOf(timelineOf(trace([root, call], [holder])));

    expect(keys).toContain(`${holder.trace_id}/${holder.span_id}`);
  });

  it("fills the request without gap, and ignores what outlives it", () => {
    const early = bridge("early", 0, [5, 20, 0], 2, below);
    const late = span("work background", 90, 200, { attributes: LOOP, ...below });
    const { steps } = criticalPathOf(timelineOf(trace([root, early, late])));

    expect(steps.reduce((sum, { start, end }) => sum + end - start, 0)).toBe(100 * MS);
    expect(steps.every(({ start }, index) => index === 0 || start === steps[index - 1]?.end)).toBe(true);
    expect(steps.map(({ span: { name } }) => name)).not.toContain("work background");
  });

  it("ends where parents go round in a circle", () => {
    const a = span("a", 10, 20, { span_id: "a".repeat(16), parent_span_id: "b".repeat(16) });
    const b = span("b", 10, 20, { span_id: "b".repeat(16), parent_span_id: "a".repeat(16) });

    expect(criticalPathOf(timelineOf(trace([a, b]))).steps).toHaveLength(1);
  });
});
