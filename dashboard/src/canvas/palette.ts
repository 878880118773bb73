/** The colours of style.css for the canvas, in the current theme. */

const FILLS = ["request", "run", "wait", "query", "session", "work", "parked", "stall", "refusal"] as const;
const PLAIN = ["bg", "surface", "text", "muted", "line", "accent"] as const;

/** The fills of a box; each has an outline of its own. */
export type Fill = (typeof FILLS)[number];
export type Colour = Fill | `${Fill}-edge` | (typeof PLAIN)[number];

const NAMES: readonly Colour[] = [...PLAIN, ...FILLS, ...FILLS.map((fill) => `${fill}-edge` as const)];

export type Palette = Readonly<Record<Colour, string>>;

/**
 * The computed colours at `element`.
 *
 * A custom property keeps `light-dark(...)` as written; only a real colour property is computed.
 */
export function readPalette(element: HTMLElement): Palette {
  const probe = document.createElement("i");
  element.append(probe);
  const colours = NAMES.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color] as const;
  });
  probe.remove();
  return Object.fromEntries(colours) as Record<Colour, string>;
}

/** Diagonal stripes (a wait) or dots (a parked thread), one device pixel sharp. */
export function readPattern(
  context: CanvasRenderingContext2D,
  style: "stripes" | "dots",
  colour: string,
  ratio: number,
): CanvasPattern | null {
  const size = 6;
  const tile = document.createElement("canvas");
  tile.width = tile.height = Math.round(size * ratio);
  const pen = tile.getContext("2d");
  if (pen === null) return null;
  const scale = tile.width / size;
  pen.scale(scale, scale);
  pen.fillStyle = pen.strokeStyle = colour;
  if (style === "dots") {
    pen.fillRect(1, 1, 1.5, 1.5);
    pen.fillRect(4, 4, 1.5, 1.5);
  } else {
    pen.lineWidth = 1.6;
    pen.beginPath();
    for (const shift of [-size, 0, size]) {
      pen.moveTo(shift - 1, size + 1);
      pen.lineTo(shift + size + 1, -1);
    }
    pen.stroke();
  }
  const pattern = context.createPattern(tile, "repeat");
  pattern?.setTransform(new DOMMatrix().scale(1 / scale));
  return pattern;
}
