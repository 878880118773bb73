/** The whole trace in a strip, with the visible part marked; drag to move it. */

import type { Category } from "../api/types";
import type { Lane, Timeline } from "../model/lanes";
import { timeOf, type Viewport, xOf } from "../model/viewport";
import { CanvasView } from "./canvas-view";
import { type Colour, type Palette, readPalette } from "./palette";

const RUN_COLOURS: Partial<Record<Category, Colour>> = {
  bridge: "run-edge",
  query: "query-edge",
  session: "session-edge",
  async_to_sync: "parked",
  refusal: "refusal-edge",
};

export class Minimap extends CanvasView {
  #timeline: Timeline;
  #view: Viewport;
  #palette: Palette | null = null;
  #picture: { canvas: HTMLCanvasElement; whole: Viewport } | null = null;
  readonly #stop = new AbortController();

  constructor(canvas: HTMLCanvasElement, timeline: Timeline, onMove: (time: number) => void) {
    super(canvas);
    this.#timeline = timeline;
    this.#view = { start: 0, end: timeline.length };
    const move = (event: PointerEvent): void => onMove(timeOf(event.offsetX, this.#whole(), this.width));
    const options = { signal: this.#stop.signal };
    canvas.addEventListener(
      "pointerdown",
      (event) => {
        canvas.setPointerCapture(event.pointerId);
        move(event);
      },
      options,
    );
    canvas.addEventListener("pointermove", (event) => event.buttons === 1 && move(event), options);
  }

  override dispose(): void {
    this.#stop.abort();
    super.dispose();
  }

  setTimeline(timeline: Timeline): void {
    this.#timeline = timeline;
    this.#picture = null;
    this.invalidate();
  }

  setView(view: Viewport): void {
    this.#view = view;
    this.invalidate();
  }

  /** Linked spans that reach far out do not shrink the trace itself, unless the view is out there. */
  #whole(): Viewport {
    const { length } = this.#timeline;
    const margin = length * 0.02;
    // Tolerates rounding of the same position: otherwise everything would be drawn again.
    const beyond = margin * 1.001;
    return {
      start: this.#view.start < -beyond ? this.#view.start : -margin,
      end: this.#view.end > length + beyond ? this.#view.end : length + margin,
    };
  }

  protected override forgetStyle(): void {
    this.#palette = null;
    this.#picture = null;
  }

  protected override draw(): void {
    this.#palette ??= readPalette(this.canvas.parentElement ?? document.body);
    const palette = this.#palette;
    const whole = this.#whole();
    this.context.drawImage(this.#lanes(palette, whole), 0, 0, this.width, this.height);
    const left = xOf(this.#view.start, whole, this.width);
    const right = xOf(this.#view.end, whole, this.width);
    this.context.fillStyle = palette.muted;
    this.context.globalAlpha = 0.3;
    this.context.fillRect(0, 0, left, this.height);
    this.context.fillRect(right, 0, this.width - right, this.height);
    this.context.globalAlpha = 1;
    this.context.strokeStyle = palette.accent;
    this.context.lineWidth = 2;
    this.context.strokeRect(left + 1, 1, Math.max(right - left - 2, 2), this.height - 2);
  }

  /** The lanes, drawn once while only the view moves. */
  #lanes(palette: Palette, whole: Viewport): HTMLCanvasElement {
    const known = this.#picture;
    const { width, height } = this.canvas;
    const fits = known?.whole.start === whole.start && known.whole.end === whole.end;
    if (known !== null && fits && known.canvas.width === width && known.canvas.height === height) return known.canvas;
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const pen = canvas.getContext("2d");
    if (pen === null) return canvas;
    pen.scale(this.ratio, this.ratio);
    const share = this.height / Math.max(this.#timeline.lanes.length, 1);
    this.#timeline.lanes.forEach((lane, index) => this.#drawLane(pen, palette, lane, index * share, share, whole));
    this.#picture = { canvas, whole };
    return canvas;
  }

  #drawLane(
    pen: CanvasRenderingContext2D,
    palette: Palette,
    lane: Lane,
    top: number,
    height: number,
    whole: Viewport,
  ): void {
    const strip = (start: number, end: number, colour: Colour, share: number): void => {
      const x = xOf(start, whole, this.width);
      pen.fillStyle = palette[colour];
      pen.fillRect(x, top + 1, Math.max(xOf(end, whole, this.width) - x, 1), Math.max(height * share - 2, 1));
    };
    const own = lane.bars.filter((bar) => !bar.isLinked);
    for (const bar of own) if (bar.kind === "request") strip(bar.start, bar.end, "request", 1);
    for (const bar of own) if (bar.runStart > bar.start) strip(bar.start, bar.runStart, "wait-edge", 0.4);
    for (const bar of own) if (bar.kind !== "request") strip(bar.runStart, bar.end, RUN_COLOURS[bar.kind] ?? "work-edge", 1);
    for (const band of lane.bands) strip(band.start, band.end, band.isLinked ? "stall" : "stall-edge", 1);
  }
}
