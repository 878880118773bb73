import { expect, it } from "vitest";
import * as sem from "../api/semconv";
import { isOngoing, timelineOf } from "./lanes";
import { bridge, heldBy, lane, lanes, MS, OTHER_ID, request, span, T0, trace } from "./samples";
import { keyOf } from "./spans";

const holder = bridge("export", -50, [30, 80, 4], 2, { trace_id: OTHER_ID });
const root = request(100);
const blocked = span("event_loop blocked", 70, 20, { category: "stall" });
const waiter = bridge("load", 10, [50, 10, 5], 2, { links: [heldBy(holder, 50)] });
const given = trace(
  [root, waiter, blocked],
  [holder],
  lanes(
    100,
    [
      lane("event_loop", {
        thread: "MainThread",
        bars: [{ span: 0, row: 0, start_ns: 0, wait_ns: 0, run_ns: 100 * MS }],
        stalls: [{ span: 2, start_ns: 70 * MS, duration_ns: 20 * MS }],
        resumes: [{ span: 1, start_ns: 70 * MS, duration_ns: 5 * MS }],
      }),
      lane("shared", {
        rows: 2,
        bars: [
          { span: 3, row: 0, start_ns: -20 * MS, wait_ns: 0, run_ns: 80 * MS },
          { span: 1, row: 1, start_ns: 10 * MS, wait_ns: 50 * MS, run_ns: 10 * MS },
        ],
      }),
      lane("shared", { queue: "queue-7" }),
    ],
    [{ waiter: 1, holder: 3, start_ns: 10 * MS, duration_ns: 50 * MS, overlap_ns: 50 * MS }],
  ),
);

it("joins each place with its span, the trace's own and ghosts", () => {
  const timeline = timelineOf(given);
  const [loop, shared, queue] = timeline.lanes;

  expect(timeline).toMatchObject({ originNs: T0, length: 100 * MS, min: -20 * MS, max: 100 * MS, root });
  expect(loop?.bars).toMatchObject([{ key: keyOf(root), kind: "request", isLinked: false, start: 0, runStart: 0, end: 100 * MS }]);
  expect(loop?.bands).toMatchObject([{ span: blocked, isLinked: false, start: 70 * MS, end: 90 * MS }]);
  expect(loop?.tails).toMatchObject([{ span: waiter, start: 70 * MS, end: 75 * MS }]);
  expect(shared?.bars).toMatchObject([
    { span: holder, isLinked: true, row: 0, start: -20 * MS, runStart: -20 * MS, end: 60 * MS },
    { span: waiter, isLinked: false, row: 1, start: 10 * MS, runStart: 60 * MS, end: 70 * MS },
  ]);
  expect(queue?.thread).toBe("no thread yet");
});

it("joins a wait with the bars of waiter and holder", () => {
  const timeline = timelineOf(given);

  expect(timeline.arrows).toMatchObject([{ start: 10 * MS, end: 60 * MS }]);
  expect(timeline.arrows[0]?.waiter).toBe(timeline.bars.get(keyOf(waiter)));
  expect(timeline.arrows[0]?.holder).toBe(timeline.bars.get(keyOf(holder)));
});

it("leaves out what a collector of another version names and does not send", () => {
  const { lanes: none } = timelineOf({ ...given, spans: [root], linked_spans: [] });

  expect(none.map(({ bars }) => bars.length)).toEqual([1, 0, 0]);
});

it("knows a trace of which something goes on", () => {
  expect(isOngoing(given)).toBe(false);
  expect(isOngoing(trace([bridge("a", 0, [10, 0, 0], 2, { attributes: { [sem.ONGOING]: true } })]))).toBe(true);
});
