import { describe, expect, it } from "vitest";
import * as sem from "../api/semconv";
import { timelineOf } from "./lanes";
import { bridge, lane, lanes, MS, request, span, trace } from "./samples";
import { drawn, matches, step } from "./search";
import { keyOf } from "./spans";

describe("matches", () => {
  const query = span("SELECT shop_product", 0, 1, { attributes: { [sem.CODE_FILE]: "shop/Views.py", n: 41, list: ["a", "b"] } });

  it("looks for every word in name and values, whatever the case", () => {
    expect(matches(query, "select views.py")).toBe(true);
    expect(matches(query, "41")).toBe(true);
    expect(matches(query, "select nowhere")).toBe(false);
    expect(matches(query, "  ")).toBe(true);
  });

  it("does not take regular expressions", () => {
    expect(matches(query, "shop.views")).toBe(false);
    expect(matches(query, "[")).toBe(true); // the list as it is shown
  });
});

describe("step", () => {
  const root = request(100);
  const stall = span("event_loop blocked", 5, 20, { category: "stall" });
  const call = bridge("load", 30, [0, 10, 0], 2);
  const given = lanes(100, [
    lane("event_loop", {
      bars: [{ span: 1, row: 0, start_ns: 0, wait_ns: 0, run_ns: 100 * MS }],
      stalls: [{ span: 2, start_ns: 5 * MS, duration_ns: 20 * MS }],
    }),
    lane("shared", { bars: [{ span: 0, row: 0, start_ns: 30 * MS, wait_ns: 0, run_ns: 10 * MS }] }),
  ]);
  const timeline = timelineOf(trace([call, root, stall], [], given));
  const keys = [root, stall, call].map(keyOf);

  it("goes through all that is drawn by time, and round", () => {
    expect(drawn(timeline).map(keyOf)).toEqual(keys);
    expect(step(timeline, null, null, 1)).toBe(keys[0]);
    expect(step(timeline, null, keys[0] ?? "", 1)).toBe(keys[1]);
    expect(step(timeline, null, keys[2] ?? "", 1)).toBe(keys[0]);
    expect(step(timeline, null, null, -1)).toBe(keys[2]);
  });

  it("keeps to what was found", () => {
    expect(step(timeline, [keys[2] ?? ""], keys[0] ?? "", 1)).toBe(keys[2]);
    expect(step(timeline, [], keys[0] ?? "", 1)).toBeNull();
  });
});
