/** Search and navigation in the spans of a trace. */

import type { Span } from "../api/types";
import type { Timeline } from "./lanes";
import { keyOf } from "./spans";

/** Every drawn span, by start time: the trace's own and the linked ones. */
export function drawn(timeline: Timeline): Span[] {
  const pieces = timeline.lanes.flatMap((lane) => [...lane.bars, ...lane.bands]);
  return pieces.sort((a, b) => a.start - b.start || a.end - b.end).map(({ span }) => span);
}

/** Whether every word of `text` is in the span's name or in an attribute value, ignoring case. */
export function matches(span: Span, text: string): boolean {
  const words = text.toLowerCase().split(/\s+/u).filter((word) => word !== "");
  if (words.length === 0) return true;
  const values = Object.values(span.attributes).map((value) => (typeof value === "object" ? JSON.stringify(value) : String(value)));
  const haystack = [span.name, ...values].join("\n").toLowerCase();
  return words.every((word) => haystack.includes(word));
}

/** The key of the span before or after `selected` among `found`, or among all; wraps around. */
export function step(
  timeline: Timeline,
  found: readonly string[] | null,
  selected: string | null,
  by: 1 | -1,
): string | null {
  const keys = found ?? drawn(timeline).map(keyOf);
  if (keys.length === 0) return null;
  const at = selected === null ? -1 : keys.indexOf(selected);
  if (at < 0) return (by === 1 ? keys[0] : keys.at(-1)) ?? null;
  return keys[(at + by + keys.length) % keys.length] ?? null;
}
