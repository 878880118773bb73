import { describe, expect, it } from "vitest";
import { clamp, MIN_SPAN_NS, pan, reveal, ticks, timeOf, xOf, zoom } from "./viewport";

const BOUNDS = { min: -100, max: 10_000 };
const VIEW = { start: 1000, end: 3000 };

describe("viewport", () => {
  it("maps times to pixels and back", () => {
    expect(xOf(1500, VIEW, 800)).toBe(200);
    expect(timeOf(200, VIEW, 800)).toBe(1500);
  });

  it("keeps the time under the pointer where it is while zooming", () => {
    const zoomed = zoom(VIEW, 2, 1500, BOUNDS);

    expect(zoomed).toEqual({ start: 1250, end: 2250 });
    expect(xOf(1500, zoomed, 800)).toBe(xOf(1500, VIEW, 800));
  });

  it("goes neither beyond the bounds nor below what a clock can tell", () => {
    expect(zoom(VIEW, 0.001, 1500, BOUNDS)).toEqual({ start: -100, end: 10_000 });
    const closest = zoom(VIEW, 1e9, 1500, BOUNDS);
    expect(closest.end - closest.start).toBe(MIN_SPAN_NS);
    expect(pan(VIEW, -5000, BOUNDS)).toEqual({ start: -100, end: 1900 });
    expect(pan(VIEW, 50_000, BOUNDS)).toEqual({ start: 8000, end: 10_000 });
  });

  it("shows a trace shorter than the closest zoom whole", () => {
    expect(clamp({ start: 0, end: 1 }, { min: 0, max: 50 })).toEqual({ start: 0, end: 50 });
  });

  it("moves only as far as a span needs to come into view", () => {
    expect(reveal(VIEW, 1200, 1300, BOUNDS)).toBe(VIEW);
    expect(reveal(VIEW, 3400, 3500, BOUNDS)).toEqual({ start: 1600, end: 3600 });
    expect(reveal(VIEW, 500, 600, BOUNDS)).toEqual({ start: 400, end: 2400 });
    const wide = reveal(VIEW, 0, 8000, BOUNDS);
    expect(wide.start).toBeLessThanOrEqual(0);
    expect(wide.end).toBeGreaterThanOrEqual(8000);
  });

  it("marks round times", () => {
    expect(ticks({ start: 0, end: 1000 }, 5)).toEqual([0, 200, 400, 600, 800, 1000]);
    expect(ticks({ start: -130, end: 340 }, 5)).toEqual([-100, 0, 100, 200, 300]);
    expect(ticks({ start: 0, end: 1e9 }, 4).length).toBeLessThanOrEqual(5);
  });
});
