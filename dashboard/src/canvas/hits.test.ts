import { describe, expect, it } from "vitest";
import { timelineOf } from "../model/lanes";
import { bridge, lane, lanes, MS, request, span, trace } from "../model/samples";
import { hitAt } from "./hits";
import { layoutOf, rowTop } from "./layout";

const root = request(100);
const stall = span("event_loop blocked", 10, 40, { category: "stall" });
const call = bridge("load", 60, [10, 20, 5], 2);
const brief = span("cache get", 70, 0.001, { parent_span_id: root.span_id });
const given = lanes(100, [
  lane("event_loop", {
    rows: 2,
    bars: [
      { span: 0, row: 0, start_ns: 0, wait_ns: 0, run_ns: 100 * MS },
      { span: 3, row: 1, start_ns: 70 * MS, wait_ns: 0, run_ns: 0.001 * MS },
    ],
    stalls: [{ span: 1, start_ns: 10 * MS, duration_ns: 40 * MS }],
    resumes: [{ span: 2, start_ns: 90 * MS, duration_ns: 5 * MS }],
  }),
  lane("shared", { bars: [{ span: 2, row: 0, start_ns: 60 * MS, wait_ns: 10 * MS, run_ns: 20 * MS }] }),
]);
const places = layoutOf(timelineOf(trace([root, stall, call, brief], [], given)));
const [loop, shared] = places;
if (loop === undefined || shared === undefined) throw new Error("expected two lanes");

const at = (ms: number, y: number, slackMs = 1): string | undefined => {
  const hit = hitAt(places, ms * MS, y, slackMs * MS);
  return hit === null ? undefined : `${hit.part} ${hit.span.name}`;
};

describe("hitAt", () => {
  it("finds bars in their rows, stalls above and around them, resume delays below", () => {
    expect(at(20, loop.bandsTop + 5)).toBe("band event_loop blocked");
    expect(at(20, rowTop(loop, 0) + 5)).toBe("bar GET products/");
    expect(at(92, loop.tailsTop + 3)).toBe("tail sync_to_async shop.load");
    expect(at(65, rowTop(shared, 0) + 5)).toBe("bar sync_to_async shop.load");
  });

  it("finds a stall behind the empty part of a row", () => {
    expect(at(20, rowTop(loop, 1) + 5)).toBe("band event_loop blocked");
  });

  it("finds what is thinner than the pointer, as far as slack goes", () => {
    expect(at(70.9, rowTop(loop, 1) + 5)).toBe("bar cache get");
    expect(at(75, rowTop(loop, 1) + 5)).toBeUndefined();
  });

  it("finds nothing in headings and below the last lane", () => {
    expect(at(20, loop.top + 3)).toBeUndefined();
    expect(at(65, shared.bottom + 50)).toBeUndefined();
  });
});
