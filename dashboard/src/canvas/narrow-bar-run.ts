/** Runs of bars that are too narrow to have an inside: neighbours of one colour become one stroke. */

import type { Brush, Rect } from "./paint";
import type { Colour } from "./palette";

/** Largest distance between two bars of a run, CSS pixels. */
const GAP = 0.5;

export class NarrowBarRun {
  #colour: Colour = "bg";
  #dimmed = false;
  #rect: Rect | null = null;

  constructor(readonly brush: Brush) {}

  /** Add the next bar of a row, from left to right. */
  add(colour: Colour, rect: Rect, dimmed: boolean): void {
    const open = this.#rect;
    const goesOn = open !== null && rect.y === open.y && rect.x - (open.x + open.width) <= GAP;
    if (open !== null && goesOn && colour === this.#colour && dimmed === this.#dimmed) {
      open.width = Math.max(open.width, rect.x + rect.width - open.x);
      return;
    }
    this.flush();
    this.#rect = { ...rect };
    this.#colour = colour;
    this.#dimmed = dimmed;
  }

  /** Draw the open run: before anything that covers it, and at the end of a row. */
  flush(): void {
    if (this.#rect !== null) this.brush.sliver(this.#colour, this.#rect, this.#dimmed);
    this.#rect = null;
  }
}
