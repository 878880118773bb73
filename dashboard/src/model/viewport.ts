/**
 * The visible time range. Two coordinates: time (ns from the trace's origin) and x (CSS pixels from the left edge of
 * the plot).
 */

export interface Viewport {
  readonly start: number;
  readonly end: number;
}

/** Bounds of the viewport. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
}

/** The shortest visible range, ns: finer than any clock. */
export const MIN_SPAN_NS = 200;

export function xOf(time: number, view: Viewport, width: number): number {
  return ((time - view.start) / (view.end - view.start)) * width;
}

export function timeOf(x: number, view: Viewport, width: number): number {
  return view.start + (x / width) * (view.end - view.start);
}

/** `view` limited to a sensible length, moved to lie within `bounds`. */
export function clamp(view: Viewport, bounds: Bounds): Viewport {
  const whole = bounds.max - bounds.min;
  const length = Math.min(Math.max(view.end - view.start, Math.min(MIN_SPAN_NS, whole)), whole);
  const middle = (view.start + view.end) / 2;
  const start = Math.min(Math.max(middle - length / 2, bounds.min), bounds.max - length);
  return { start, end: start + length };
}

/** Show 1/factor of the time; the position of `at` (ns) on screen does not change. */
export function zoom(view: Viewport, factor: number, at: number, bounds: Bounds): Viewport {
  const whole = bounds.max - bounds.min;
  const wanted = (view.end - view.start) / factor;
  const length = Math.min(Math.max(wanted, Math.min(MIN_SPAN_NS, whole)), whole);
  const share = (at - view.start) / (view.end - view.start);
  return clamp({ start: at - share * length, end: at + (1 - share) * length }, bounds);
}

export function pan(view: Viewport, byNs: number, bounds: Bounds): Viewport {
  return clamp({ start: view.start + byNs, end: view.end + byNs }, bounds);
}

/** The smallest move (and zoom out, if necessary) that brings `start` to `end` into view. */
export function reveal(view: Viewport, start: number, end: number, bounds: Bounds): Viewport {
  const length = view.end - view.start;
  const margin = Math.max(length, end - start) * 0.05;
  if (end - start > length) return clamp({ start: start - margin, end: end + margin }, bounds);
  if (start < view.start) return pan(view, start - margin - view.start, bounds);
  if (end > view.end) return pan(view, end + margin - view.end, bounds);
  return view;
}

/** Round times for axis ticks: 1, 2 or 5 times a power of ten apart, at most `most` of them. */
export function ticks(view: Viewport, most: number): number[] {
  const length = view.end - view.start;
  const least = length / Math.max(most, 1);
  const power = 10 ** Math.floor(Math.log10(least));
  const step = Math.max(1, ([1, 2, 5, 10].find((factor) => factor * power >= least) ?? 10) * power);
  const first = Math.ceil(view.start / step);
  const last = Math.floor(view.end / step);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => (first + index) * step);
}
