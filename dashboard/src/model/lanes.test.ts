import { describe, expect, it } from "vitest";
import * as sem from "../api/semconv";
import { timelineOf } from "./lanes";
import { bridge, heldBy, LOOP, MS, OTHER_ID, request, span, T0, thread, trace } from "./samples";

const roles = (timeline: ReturnType<typeof timelineOf>): string[] => timeline.lanes.map(({ role }) => role);

describe("timelineOf", () => {
  it("puts the wait and the run of a bridge call on the thread it ran on, the resume delay on the loop", () => {
    const root = request(100);
    const call = bridge("load", 10, [20, 30, 5], 2, { parent_span_id: root.span_id });
    const { lanes } = timelineOf(trace([root, call]));

    const [loop, shared] = lanes;
    expect(roles(timelineOf(trace([root, call])))).toEqual(["event_loop", "shared"]);
    expect(loop?.bars.map((bar) => bar.span.name)).toEqual(["GET products/"]);
    expect(loop?.tails).toMatchObject([{ start: 60 * MS, end: 65 * MS }]);
    expect(shared?.bars).toMatchObject([{ start: 10 * MS, runStart: 30 * MS, end: 60 * MS, row: 0 }]);
    expect(shared).toMatchObject({ thread: "pool-2", rows: 1 });
  });

  it("nests what ran within a call below it", () => {
    const root = request(100);
    const call = bridge("load", 10, [0, 30, 0], 2, { parent_span_id: root.span_id });
    const session = span("session load", 12, 20, { parent_span_id: call.span_id, attributes: thread(2, "shared") });
    const query = span("SELECT session", 14, 10, {
      parent_span_id: session.span_id,
      attributes: { ...thread(2, "shared"), [sem.DB_SYSTEM]: "sqlite" },
    });
    const shared = timelineOf(trace([root, call, session, query])).lanes[1];

    expect(shared?.bars.map((bar) => [bar.kind, bar.row])).toEqual([["bridge", 0], ["session", 1], ["query", 2]]);
    expect(shared?.rows).toBe(3);
  });

  it("lets no box cover another: overlapping waits stand below each other", () => {
    const root = request(100);
    const calls = [0, 1, 2].map((turn) => bridge(`call${turn}`, 5, [20 * turn, 20, 0], 2));
    const shared = timelineOf(trace([root, ...calls])).lanes[1];

    expect(shared?.bars.map((bar) => [bar.runStart / MS, bar.row])).toEqual([[5, 0], [25, 1], [45, 2]]);
  });

  it("uses a row again once it is free, though epoch times are rounded", () => {
    const first = bridge("a", 0, [0, 10, 0], 2);
    const second = bridge("b", 10, [0, 10, 0], 2, { start_ns: T0 + 10 * MS - 256 });
    const shared = timelineOf(trace([request(30), first, second])).lanes[1];

    expect(shared?.rows).toBe(1);
  });

  it("draws a stall as a band over the loop's lane, not as a bar", () => {
    const stall = span("event_loop blocked", 10, 40, { attributes: LOOP });
    const [loop] = timelineOf(trace([request(100), stall])).lanes;

    expect(loop?.bands).toMatchObject([{ start: 10 * MS, end: 50 * MS, ghost: false }]);
    expect(loop?.bars).toHaveLength(1);
  });

  it("draws of a holder of another trace only the run that held the thread", () => {
    const holder = bridge("export", -50, [30, 80, 4], 2, { trace_id: OTHER_ID });
    const waiter = bridge("load", 10, [50, 10, 0], 2, { links: [heldBy(holder, 50)] });
    const timeline = timelineOf(trace([request(100), waiter], [holder]));
    const ghost = timeline.lanes[1]?.bars.find((bar) => bar.ghost);

    expect(ghost).toMatchObject({ start: -20 * MS, end: 60 * MS });
    expect(timeline.lanes[0]?.tails).toEqual([]);
    expect(timeline).toMatchObject({ length: 100 * MS, min: -20 * MS, max: 100 * MS });
    expect(timeline.arrows).toMatchObject([{ start: 10 * MS, end: 60 * MS, overlapNs: 50 * MS }]);
    expect(timeline.arrows[0]?.holder).toBe(ghost);
  });

  it("puts a call that never ran into the lane of the thread its queue belongs to", () => {
    const ran = bridge("a", 0, [0, 10, 0], 2);
    const waiting = bridge("b", 1, [50, 0, 0], 2);
    delete waiting.attributes[sem.RUN_THREAD_ID];
    const lanes = timelineOf(trace([request(60), ran, waiting])).lanes;

    expect(lanes).toHaveLength(2);
    expect(lanes[1]?.bars.map((bar) => bar.span)).toEqual([ran, waiting]);
  });

  it("gives a queue that nobody is known to serve a lane of its own", () => {
    const waiting = bridge("b", 1, [50, 0, 0], 2);
    delete waiting.attributes[sem.RUN_THREAD_ID];
    delete waiting.attributes[sem.RUN_THREAD_NAME];
    const lanes = timelineOf(trace([request(60), waiting])).lanes;

    expect(lanes[1]).toMatchObject({ role: "shared", thread: "no thread yet" });
  });

  it("keeps threads of different processes apart, though their ids agree", () => {
    const here = bridge("a", 0, [0, 10, 0], 2);
    const there = bridge("b", 0, [0, 10, 0], 2, { service: "billing", resource: { [sem.INSTANCE_ID]: "billing-1" } });
    const lanes = timelineOf(trace([request(60), here, there])).lanes;

    expect(lanes.map(({ process, role }) => [process, role])).toEqual([
      ["shop/shop-1", "event_loop"],
      ["shop/shop-1", "shared"],
      ["billing/billing-1", "shared"],
    ]);
  });

  it("counts the later report of a span that was reported while it lasted", () => {
    const early = bridge("a", 0, [10, 0, 0], 2, { attributes: { [sem.ONGOING]: true } });
    const late = bridge("a", 0, [10, 40, 0], 2, { span_id: early.span_id });
    const bars = timelineOf(trace([request(60), early, late])).lanes[1]?.bars;

    expect(bars?.map((bar) => bar.span)).toEqual([late]);
  });

  it("survives spans that are each other's parents", () => {
    const a = span("a", 0, 10, { attributes: LOOP });
    const b = span("b", 0, 10, { attributes: LOOP, parent_span_id: a.span_id });
    a.parent_span_id = b.span_id;

    expect(timelineOf(trace([a, b])).lanes[0]?.bars).toHaveLength(2);
  });

  it("lays out ten thousand spans, nested deeply, in one go", () => {
    const spans = [request(10_000)];
    for (let turn = 0; turn < 10_000; turn += 1) {
      const parent_span_id = turn < 500 ? (spans.at(-1)?.span_id ?? "") : (spans[0]?.span_id ?? "");
      spans.push(span(`work ${turn}`, turn, turn < 500 ? 9000 - turn : 0.5, { parent_span_id, attributes: LOOP }));
    }
    const [loop] = timelineOf(trace(spans)).lanes;

    expect(loop?.bars).toHaveLength(10_001);
    const rows = new Map<number, number>();
    for (const bar of loop?.bars ?? []) {
      expect(bar.start + 1000).toBeGreaterThan(rows.get(bar.row) ?? -1);
      rows.set(bar.row, bar.end);
    }
  });
});
