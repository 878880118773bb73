/** Drawing of the timeline: bars, bands, tails, arrows, axis. Positions in CSS pixels. */

import type { Category } from "../api/types";
import { type Colour, type Fill, type Palette, readPattern } from "./palette";

const FONT = "11px ui-monospace, 'SFMono-Regular', Menlo, 'DejaVu Sans Mono', monospace";
const LABEL_FONT = "600 11px system-ui, sans-serif";

const FILLS: Record<Exclude<Category, "stall">, Fill> = {
  request: "request",
  bridge: "run",
  async_to_sync: "parked",
  refusal: "refusal",
  query: "query",
  session: "session",
  work: "work",
};

/** The colour of a bar that is too narrow for more than its outline. */
export function edgeOf(kind: Exclude<Category, "stall">): Colour {
  return `${FILLS[kind]}-edge`;
}

export interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A brush for one frame's colours and resolution. */
export class Brush {
  readonly charWidth: number;
  readonly #stripes: CanvasPattern | null;
  readonly #dots: CanvasPattern | null;
  readonly #widths = new Map<string, number>();
  /** The context's current font: setting it costs more than drawing a short text. */
  #font = "";

  constructor(
    readonly context: CanvasRenderingContext2D,
    readonly palette: Palette,
    ratio: number,
  ) {
    context.font = FONT;
    this.charWidth = context.measureText("0").width;
    this.#stripes = readPattern(context, "stripes", palette["wait-edge"], ratio);
    this.#dots = readPattern(context, "dots", palette["parked-edge"], ratio);
  }

  /** Before a frame: a resized canvas has lost its state. */
  begin(): void {
    this.#font = "";
    this.context.textBaseline = "middle";
  }

  sliver(colour: Colour, rect: Rect, dimmed: boolean): void {
    this.context.globalAlpha = dimmed ? 0.25 : 1;
    this.#fill(rect, this.palette[colour]);
    this.context.globalAlpha = 1;
  }

  bar(kind: Category, rect: Rect, isLinked: boolean, dimmed: boolean): void {
    const { context, palette } = this;
    const name = kind === "stall" ? "stall" : FILLS[kind];
    context.globalAlpha = dimmed ? 0.25 : 1;
    // Of a box this narrow only the outline is visible.
    if (!isLinked && rect.width >= 3) this.#fill(rect, palette[name]);
    if (kind === "async_to_sync" && this.#dots !== null) this.#fill(rect, this.#dots);
    this.outline(rect, palette[`${name}-edge`], isLinked);
    if (kind === "refusal") this.#cross(rect, palette["refusal-edge"]);
    context.globalAlpha = 1;
  }

  wait(rect: Rect, dimmed: boolean): void {
    const { context, palette } = this;
    context.globalAlpha = dimmed ? 0.25 : 1;
    if (rect.width >= 3) this.#fill(rect, palette.wait);
    if (rect.width >= 3 && this.#stripes !== null) this.#fill(rect, this.#stripes);
    this.outline(rect, palette["wait-edge"], false);
    context.globalAlpha = 1;
  }

  /** A stall: a tint over the whole lane and a strong head that carries its label. */
  band(rect: Rect, headHeight: number, isLinked: boolean): void {
    const { context, palette } = this;
    context.globalAlpha = isLinked ? 0.14 : 0.22;
    this.#fill(rect, palette["stall-edge"]);
    context.globalAlpha = 1;
    const head = { ...rect, height: headHeight };
    if (!isLinked) this.#fill(head, palette.stall);
    this.outline(head, palette["stall-edge"], isLinked);
  }

  tail(rect: Rect): void {
    this.#fill(rect, this.palette["wait-edge"]);
  }

  outline({ x, y, width, height }: Rect, colour: string, dashed: boolean, line = 1): void {
    const { context } = this;
    if (width < 3 && line === 1) {
      context.fillStyle = colour;
      context.fillRect(x, y, width, height);
      return;
    }
    context.strokeStyle = colour;
    context.lineWidth = line;
    if (dashed) context.setLineDash([3, 2]);
    context.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
    if (dashed) context.setLineDash([]);
  }

  /** `text`, cut to fit into `room` pixels; nothing if not even three characters fit. */
  text(text: string, x: number, y: number, room: number, backed = false): void {
    const { context, palette } = this;
    const fits = Math.floor(room / this.charWidth);
    if (fits < 3) return;
    const shown = text.length > fits ? `${text.slice(0, fits - 1)}\u2026` : text;
    this.#write(FONT);
    if (backed) {
      context.fillStyle = palette.bg;
      context.fillRect(x - 2, y - 6, shown.length * this.charWidth + 4, 13);
    }
    context.fillStyle = palette.text;
    context.fillText(shown, x, y);
  }

  /** The heading of a lane: the role in bold, the thread's name beside it. */
  heading(role: string, thread: string, y: number, width: number): void {
    const { context, palette } = this;
    this.#write(LABEL_FONT);
    context.fillStyle = palette.text;
    context.fillText(role, 8, y);
    const measured = this.#widths.get(role) ?? context.measureText(role).width;
    this.#widths.set(role, measured);
    const used = measured + 16;
    this.#write(FONT);
    const fits = Math.floor((width - used - 8) / this.charWidth);
    if (fits < 3) return;
    context.fillStyle = palette.muted;
    context.fillText(thread.length > fits ? `${thread.slice(0, fits - 1)}\u2026` : thread, used, y);
  }

  /** A line through `points`, with a halo so that it is visible over anything. */
  path(points: readonly (readonly [number, number])[]): void {
    const { context, palette } = this;
    if (points.length === 0) return;
    context.beginPath();
    points.forEach(([x, y], index) => (index === 0 ? context.moveTo(x, y) : context.lineTo(x, y)));
    context.lineJoin = "round";
    for (const [colour, line] of [[palette.bg, 4.5], [palette.accent, 2.5]] as const) {
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.stroke();
    }
    context.lineJoin = "miter";
  }

  /** An arrow from a wait to what held the thread, with a halo so that it is visible over anything. */
  arrow(x: number, from: number, to: number, strong: boolean): void {
    const { context, palette } = this;
    const direction = Math.sign(to - from) || -1;
    const bend = 7;
    const stroke = (colour: string, line: number): void => {
      context.strokeStyle = context.fillStyle = colour;
      context.lineWidth = line;
      context.beginPath();
      context.moveTo(x, from);
      context.bezierCurveTo(x + bend, from + (to - from) / 3, x + bend, to - (to - from) / 3, x, to - direction * 4);
      context.stroke();
      context.beginPath();
      context.moveTo(x, to);
      context.lineTo(x - 4, to - direction * 7);
      context.lineTo(x + 4, to - direction * 7);
      context.closePath();
      context.fill();
    };
    stroke(palette.bg, strong ? 6 : 4);
    stroke(palette.text, strong ? 2 : 1.2);
    context.beginPath();
    context.arc(x, from, 2.5, 0, Math.PI * 2);
    context.fill();
  }

  line(x1: number, y1: number, x2: number, y2: number, colour: string): void {
    const { context } = this;
    context.strokeStyle = colour;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
  }

  #write(font: string): void {
    if (font !== this.#font) this.context.font = this.#font = font;
  }

  #fill({ x, y, width, height }: Rect, style: string | CanvasPattern): void {
    this.context.fillStyle = style;
    this.context.fillRect(x, y, width, height);
  }

  #cross({ x, y, height }: Rect, colour: string): void {
    const middle = y + height / 2;
    const { context } = this;
    context.fillStyle = this.palette.bg;
    context.beginPath();
    context.arc(x + 3, middle, 7, 0, Math.PI * 2);
    context.fill();
    context.strokeStyle = colour;
    context.lineWidth = 2.2;
    context.beginPath();
    for (const side of [-1, 1]) {
      context.moveTo(x - 1, middle - side * 4);
      context.lineTo(x + 7, middle + side * 4);
    }
    context.stroke();
  }
}
