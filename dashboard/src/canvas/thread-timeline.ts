/** Draws a trace's lanes, and finds what is under the pointer. */

import { type Arrow, arrowsByKey } from "../model/arrows";
import type { CriticalPath, Step } from "../model/critical";
import { duration } from "../model/format";
import { roleName } from "../model/kinds";
import type { Band, Bar, Timeline } from "../model/lanes";
import { labelOf } from "../model/labels";
import { clamp, pan, reveal, ticks, timeOf, type Viewport, xOf, zoom } from "../model/viewport";
import { eachVisible, type Row, rowOf } from "../model/visible";
import { text } from "../text";
import { CanvasView } from "./canvas-view";
import { drawCritical } from "./critical-line";
import { listen } from "./gestures";
import { type Hit, hitAt } from "./hits";
import {
  AXIS_HEIGHT, BAND_LABEL_HEIGHT, BAR_HEIGHT, HEADER_HEIGHT, heightOf, type LanePlace, layoutOf, rowTop, TAIL_HEIGHT,
} from "./layout";
import { Brush, edgeOf, type Rect } from "./paint";
import { readPalette } from "./palette";
import { NarrowBarRun } from "./narrow-bar-run";

export interface TimelineEvents {
  onView(view: Viewport): void;
  onHover(hit: Hit | null, x: number, y: number): void;
  onSelect(key: string | null): void;
}

/** More arrows would hide what they point at: the longest waits, and all of the span under the pointer. */
const MOST_ARROWS = 12;
const MOST_ARROWS_OF_ONE = 40;
const LEAST_WIDTH = 2;
/** Not even three letters fit into a bar of at most this width. */
const LEAST_LABELLED = 24;
/** How close to something thin a click must be, CSS pixels. */
const REACH = 5;

export class ThreadTimeline extends CanvasView {
  #timeline: Timeline;
  #places: LanePlace[];
  #placeOf: Map<string, LanePlace>;
  #view: Viewport;
  #scrollTop = 0;
  #hovered: string | null = null;
  #selected: string | null = null;
  #matches: ReadonlySet<string> | null = null;
  #critical: CriticalPath | null = null;
  #steps: Row<Step> = rowOf([]);
  /** The arrows of each waiter and holder. */
  #arrowsOf: Map<string, Arrow[]>;
  /** The label of each bar that was wide enough for one: cached, because a frame has no time to build them. */
  #labels = new Map<Bar, string>();
  #criticalOnly = false;
  #brush: Brush | null = null;
  readonly #events: TimelineEvents;
  readonly #unlisten: () => void;

  constructor(canvas: HTMLCanvasElement, timeline: Timeline, events: TimelineEvents) {
    super(canvas);
    this.#events = events;
    this.#timeline = timeline;
    this.#places = layoutOf(timeline);
    this.#placeOf = placesByKey(this.#places);
    this.#arrowsOf = arrowsByKey(timeline.arrows);
    this.#view = home(timeline);
    this.#unlisten = listen(canvas, {
      zoomAt: (x, factor) => this.#setView(zoom(this.#view, factor, this.#timeAt(x), timelineBounds(this.#timeline))),
      panBy: (pixels) => this.panBy(pixels),
      scrollBy: (pixels) => canvas.parentElement?.parentElement?.scrollBy(0, pixels),
      point: (x, y) => this.#point(x, y),
      leave: () => this.#hover(null, 0, 0),
      click: (x, y) => events.onSelect(this.#hitAt(x, y)?.key ?? null),
      doubleClick: (x, y) => this.focus(this.#hitAt(x, y)?.key ?? null),
    });
  }

  override dispose(): void {
    this.#unlisten();
    super.dispose();
  }

  /** New spans of the same trace: the view does not move. */
  setTimeline(timeline: Timeline): void {
    const whole = sameView(this.#view, home(this.#timeline));
    this.#timeline = timeline;
    this.#places = layoutOf(timeline);
    this.#placeOf = placesByKey(this.#places);
    this.#arrowsOf = arrowsByKey(timeline.arrows);
    this.#labels.clear();
    this.#setView(whole ? home(timeline) : clamp(this.#view, timelineBounds(timeline)));
    this.invalidate();
  }

  get contentHeight(): number {
    return heightOf(this.#places) + AXIS_HEIGHT;
  }

  setScroll(top: number): void {
    this.#scrollTop = top;
    this.invalidate();
  }

  /** The result of the search; everything else is dimmed. */
  setMatches(keys: ReadonlySet<string> | null): void {
    this.#matches = keys;
    this.invalidate();
  }

  /** The path to mark, and whether everything else is dimmed. */
  setCritical(path: CriticalPath, only: boolean): void {
    this.#critical = path;
    this.#steps = rowOf(path.steps);
    this.#criticalOnly = only;
    this.invalidate();
  }

  /** Mark a span and bring it into view; returns the scroll position that shows its row, if it must change. */
  select(key: string | null): number | null {
    this.#selected = key;
    this.invalidate();
    const place = key === null ? undefined : this.#placeOf.get(key);
    if (key === null || place === undefined) return null;
    const bar = this.#timeline.bars.get(key);
    const piece = bar ?? place.lane.bands.find((band) => band.key === key);
    if (piece !== undefined) this.#setView(reveal(this.#view, piece.start, piece.end, timelineBounds(this.#timeline)));
    const top = bar === undefined ? place.top : rowTop(place, bar.row);
    const room = this.height - AXIS_HEIGHT;
    if (top >= this.#scrollTop && top + BAR_HEIGHT <= this.#scrollTop + room) return null;
    return Math.max(0, top - room / 2);
  }

  /** Let the span fill the view. */
  focus(key: string | null): void {
    const place = key === null ? undefined : this.#placeOf.get(key);
    const bar = key === null ? undefined : this.#timeline.bars.get(key);
    const piece = bar ?? place?.lane.bands.find((band) => band.key === key);
    if (piece === undefined) return;
    const margin = (piece.end - piece.start) * 0.08;
    this.#setView(clamp({ start: piece.start - margin, end: piece.end + margin }, timelineBounds(this.#timeline)));
  }

  fit(): void {
    this.#setView(home(this.#timeline));
  }

  zoomBy(factor: number): void {
    const { start, end } = this.#view;
    this.#setView(zoom(this.#view, factor, (start + end) / 2, timelineBounds(this.#timeline)));
  }

  panBy(pixels: number): void {
    const byNs = (pixels / this.width) * (this.#view.end - this.#view.start);
    this.#setView(pan(this.#view, byNs, timelineBounds(this.#timeline)));
  }

  /** Centre the view on `time`, as the minimap asks. */
  moveTo(time: number): void {
    const { start, end } = this.#view;
    this.#setView(pan(this.#view, time - (start + end) / 2, timelineBounds(this.#timeline)));
  }

  #setView(view: Viewport): boolean {
    if (sameView(view, this.#view)) return false;
    this.#view = view;
    this.invalidate();
    this.#events.onView(view);
    return true;
  }

  #timeAt(x: number): number {
    return timeOf(x, this.#view, this.width);
  }

  #hitAt(x: number, y: number): Hit | null {
    if (y < AXIS_HEIGHT || this.width === 0) return null;
    const slackNs = (REACH / this.width) * (this.#view.end - this.#view.start);
    return hitAt(this.#places, this.#timeAt(x), y - AXIS_HEIGHT + this.#scrollTop, slackNs);
  }

  #point(x: number, y: number): void {
    this.#hover(this.#hitAt(x, y), x, y);
  }

  #hover(hit: Hit | null, x: number, y: number): void {
    const key = hit?.key ?? null;
    if (key !== this.#hovered) this.invalidate();
    this.#hovered = key;
    this.canvas.style.cursor = hit === null ? "grab" : "pointer";
    this.#events.onHover(hit, x, y);
  }

  protected override forgetStyle(): void {
    this.#brush = null;
  }

  protected override draw(): void {
    this.#brush ??= new Brush(this.context, readPalette(this.canvas.parentElement ?? document.body), this.ratio);
    const brush = this.#brush;
    brush.begin();
    const marks = ticks(this.#view, Math.max(2, Math.floor(this.width / 110)));
    for (const mark of marks) {
      const x = Math.round(this.#x(mark)) + 0.5;
      brush.line(x, AXIS_HEIGHT, x, this.height, brush.palette.line);
    }
    for (const place of this.#places) {
      const top = this.#y(place.top);
      if (top > this.height || this.#y(place.bottom) < AXIS_HEIGHT) continue;
      this.#drawLane(brush, place);
    }
    drawCritical(brush, this.#steps, this.#frame());
    const arrows = this.#arrowsInView();
    arrows.forEach((arrow, index) => this.#drawArrow(brush, arrow, (index + 1) / (arrows.length + 1)));
    this.#drawMarks(brush);
    this.#drawAxis(brush, marks);
  }

  #drawLane(brush: Brush, place: LanePlace): void {
    const { lane } = place;
    for (const band of lane.bands) this.#drawBand(brush, place, band);
    const heading = lane.process === this.#timeline.lanes[0]?.process ? roleName(lane.role) : `${roleName(lane.role)} of ${lane.process}`;
    brush.line(0, this.#y(place.top) + 0.5, this.width, this.#y(place.top) + 0.5, brush.palette.line);
    brush.heading(heading, lane.thread, this.#y(place.top) + HEADER_HEIGHT / 2 + 1, this.width);
    const leastNs = (LEAST_WIDTH / this.width) * (this.#view.end - this.#view.start);
    const narrowBars = new NarrowBarRun(brush);
    place.rows.forEach((row, index) => {
      const y = this.#y(rowTop(place, index));
      if (y > this.height || y + BAR_HEIGHT < AXIS_HEIGHT) return;
      eachVisible(row, this.#view, leastNs, (bar) => {
        if (bar.kind !== "refusal") this.#drawBar(brush, narrowBars, bar, this.#rectOf(place, bar));
      });
      narrowBars.flush();
    });
    // Always drawn, however short it is and whatever is beside it: a refusal must be visible.
    eachVisible(place.refusals, this.#view, leastNs, (bar) => this.#drawBar(brush, narrowBars, bar, this.#rectOf(place, bar)));
    eachVisible(place.tails, this.#view, leastNs, ({ start, end }) => {
      narrowBars.add("wait-edge", { ...this.#span(start, end), y: this.#y(place.tailsTop) + 2, height: TAIL_HEIGHT - 2 }, false);
    });
    narrowBars.flush();
  }

  #drawBar(brush: Brush, narrowBars: NarrowBarRun, bar: Bar, rect: Rect): void {
    const unfound = this.#matches !== null && !this.#matches.has(bar.key);
    const dimmed = unfound || (this.#criticalOnly && this.#critical?.keys.has(bar.key) !== true);
    if (rect.width <= LEAST_WIDTH && !bar.isLinked && bar.kind !== "refusal" && bar.kind !== "stall") {
      const waited = bar.runStart - bar.start > bar.end - bar.runStart;
      narrowBars.add(waited ? "wait-edge" : edgeOf(bar.kind), rect, dimmed);
      return;
    }
    narrowBars.flush();
    const middle = rect.y + rect.height / 2 + 0.5;
    const name = rect.width > LEAST_LABELLED || bar.kind === "refusal" ? this.#labelOf(bar) : "";
    if (bar.runStart <= bar.start) {
      brush.bar(bar.kind, rect, bar.isLinked, dimmed);
      // A refusal has no duration: its name is beside its mark.
      if (bar.kind === "refusal") brush.text(name, rect.x + 14, middle, 200, true);
      else this.#label(brush, name, rect, middle, bar.kind === "async_to_sync");
      return;
    }
    const wait = { ...rect, ...this.#span(bar.start, bar.runStart) };
    const run = { ...rect, ...this.#span(bar.runStart, bar.end) };
    brush.wait(wait, dimmed);
    brush.bar(bar.kind, run, bar.isLinked, dimmed);
    if (name === "") return;
    const waited = text.span.waits(duration(bar.runStart - bar.start));
    const roomy = run.width > name.length * brush.charWidth;
    this.#label(brush, roomy ? waited : `${name} ${waited}`, wait, middle, true);
    if (roomy) this.#label(brush, name, run, middle);
  }

  #labelOf(bar: Bar): string {
    const known = this.#labels.get(bar) ?? labelOf(bar.span, bar.kind);
    this.#labels.set(bar, known);
    return known;
  }

  /** A label starts where its box becomes visible, so that it stays readable while the box is panned. */
  #label(brush: Brush, text: string, rect: Rect, y: number, backed = false): void {
    const x = Math.max(rect.x, 0);
    brush.text(text, x + 5, y, rect.x + rect.width - x - 8, backed);
  }

  #drawBand(brush: Brush, place: LanePlace, band: Band): void {
    if (band.end < this.#view.start || band.start > this.#view.end) return;
    const span = this.#span(band.start, band.end);
    const y = this.#y(place.bandsTop);
    brush.band({ ...span, y, height: this.#y(place.bottom) - y - 2 }, BAND_LABEL_HEIGHT - 3, band.isLinked);
    const label = `${text.span.blocked(duration(band.end - band.start))} ${labelOf(band.span, "stall")}`;
    this.#label(brush, label, { ...span, y, height: 0 }, y + (BAND_LABEL_HEIGHT - 3) / 2 + 0.5);
  }

  #arrowsInView(): Arrow[] {
    const { start, end } = this.#view;
    const shown = (arrow: Arrow): boolean => arrow.start <= end && arrow.end >= start;
    const pointed = [this.#selected, this.#hovered].flatMap((key) => this.#arrowsOf.get(key ?? "") ?? []);
    const chosen = [...new Set(pointed)].filter(shown);
    if (chosen.length > 0) return chosen.slice(0, MOST_ARROWS_OF_ONE);
    const firsts = new Map<Bar, Arrow>();
    for (const arrow of this.#timeline.arrows) {
      if (shown(arrow) && !firsts.has(arrow.waiter)) firsts.set(arrow.waiter, arrow);
      if (firsts.size === MOST_ARROWS) break;
    }
    return [...firsts.values()];
  }

  /** `share` of the visible overlap determines the arrow's position, so that several do not cover each other. */
  #drawArrow(brush: Brush, { waiter, holder, start, end }: Arrow, share: number): void {
    const from = this.#placeOf.get(waiter.key);
    const to = this.#placeOf.get(holder.key);
    if (from === undefined || to === undefined) return;
    const left = Math.max(start, this.#view.start);
    const at = left + (Math.min(end, this.#view.end) - left) * share;
    const fromY = this.#y(rowTop(from, waiter.row)) + BAR_HEIGHT / 2;
    const toY = this.#y(rowTop(to, holder.row));
    const below = toY > fromY;
    brush.arrow(this.#x(at), fromY, below ? toY : toY + BAR_HEIGHT, [this.#selected, this.#hovered].includes(waiter.key));
  }

  #drawMarks(brush: Brush): void {
    for (const [key, line] of [[this.#hovered, 2], [this.#selected, 3]] as const) {
      const place = key === null ? undefined : this.#placeOf.get(key);
      if (key === null || place === undefined) continue;
      const bar = this.#timeline.bars.get(key);
      const band = place.lane.bands.find((candidate) => candidate.key === key);
      const colour = line === 3 ? brush.palette.accent : brush.palette.text;
      if (bar !== undefined) brush.outline(grown(this.#rectOf(place, bar)), colour, false, line);
      else if (band !== undefined) {
        const y = this.#y(place.bandsTop);
        brush.outline({ ...this.#span(band.start, band.end), y, height: this.#y(place.bottom) - y - 2 }, colour, false, line);
      }
    }
  }

  #drawAxis(brush: Brush, marks: readonly number[]): void {
    const { context, palette } = brush;
    context.fillStyle = palette.surface;
    context.fillRect(0, 0, this.width, AXIS_HEIGHT);
    brush.line(0, AXIS_HEIGHT - 0.5, this.width, AXIS_HEIGHT - 0.5, palette.line);
    for (const mark of marks) brush.text(duration(mark), this.#x(mark) + 3, AXIS_HEIGHT / 2, 110);
  }

  #frame(): Parameters<typeof drawCritical>[2] {
    const foot = (key: string): number | null => {
      const place = this.#placeOf.get(key);
      if (place === undefined) return null;
      const bar = this.#timeline.bars.get(key);
      // Below the letters of the label, underscores included.
      return this.#y((bar === undefined ? place.bandsTop : rowTop(place, bar.row)) + BAR_HEIGHT + 0.5);
    };
    return { width: this.width, x: (time) => this.#x(time), foot, ...this.#view };
  }

  #x(time: number): number {
    return xOf(time, this.#view, this.width);
  }

  #y(y: number): number {
    return y - this.#scrollTop + AXIS_HEIGHT;
  }

  /** Clip a little beyond the edges: browsers draw distant coordinates imprecisely. */
  #span(start: number, end: number): { x: number; width: number } {
    const left = Math.max(this.#x(start), -20);
    const right = Math.min(this.#x(end), this.width + 20);
    return { x: left, width: Math.max(right - left, LEAST_WIDTH) };
  }

  #rectOf(place: LanePlace, bar: Bar): Rect {
    return { ...this.#span(bar.start, bar.end), y: this.#y(rowTop(place, bar.row)), height: BAR_HEIGHT };
  }
}

function grown({ x, y, width, height }: Rect): Rect {
  return { x: x - 2, y: y - 2, width: width + 4, height: height + 4 };
}

function timelineBounds(timeline: Timeline): { min: number; max: number } {
  const margin = timeline.length * 0.02;
  return { min: Math.min(timeline.min, -margin), max: Math.max(timeline.max, timeline.length + margin) };
}

/** The trace with a margin on both sides; linked spans may reach further. */
function home(timeline: Timeline): Viewport {
  const margin = timeline.length * 0.02;
  return { start: -margin, end: timeline.length + margin };
}

function sameView(a: Viewport, b: Viewport): boolean {
  return a.start === b.start && a.end === b.end;
}

function placesByKey(places: readonly LanePlace[]): Map<string, LanePlace> {
  return new Map(places.flatMap((place) => [...place.lane.bars, ...place.lane.bands].map(({ key }) => [key, place])));
}
