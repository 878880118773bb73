/**
 * The time range in the URL: `since` and `until`, each relative (`6h`: that long ago) or an RFC 3339 time in UTC.
 * Without `until` the range ends now, and moves with the clock.
 */

import { text } from "../text";
import { type Zone, dateTime } from "./format";
import type { Route } from "./route";

export interface TimeRange {
  since: string;
  /** '' means now. */
  until: string;
}

export const DEFAULT_SINCE = "1h";
/** The quick ranges. */
export const QUICK = ["5m", "15m", "30m", "1h", "3h", "6h", "12h", "24h", "2d", "7d", "30d"] as const;

const RELATIVE = /^(\d{1,6})([smhdw])$/u;
const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)$/u;
const WRITTEN = /^(?:(\d{4})-(\d\d?)-(\d\d?)(?:[ T]|$))?(?:(\d\d?):(\d\d)(?::(\d\d))?)?(Z| ?UTC)?$/u;

/** The range of a URL; invalid values fall back to the default. */
export function rangeOf(route: Route): TimeRange {
  const { since = "", until = "" } = route.params;
  const range = { since: isTime(since) ? since : DEFAULT_SINCE, until: isTime(until) ? until : "" };
  const { start, end } = boundsOf(range, 4e12);
  return start < end ? range : { since: DEFAULT_SINCE, until: "" };
}

function isTime(value: string): boolean {
  return RELATIVE.test(value) || (MOMENT.test(value) && !Number.isNaN(Date.parse(value)));
}

/** Whether the range ends now, so that what arrives shows up in it. */
export function isLive({ until }: TimeRange): boolean {
  return until === "";
}

/** Start and end, ms since the epoch. */
export function boundsOf({ since, until }: TimeRange, now: number): { start: number; end: number } {
  return { start: momentOf(since, now), end: until === "" ? now : momentOf(until, now) };
}

function momentOf(value: string, now: number): number {
  const [, size, unit] = RELATIVE.exec(value) ?? [];
  return size === undefined ? Date.parse(value) : now - Number(size) * (SECONDS[unit ?? "s"] ?? 1) * 1000;
}

/** An absolute range, in whole seconds, because people read URLs. */
export function between(start: number, end: number): TimeRange {
  const [from, to] = [Math.floor(start / 1000), Math.max(Math.ceil(end / 1000), Math.floor(start / 1000) + 1)];
  return { since: iso(from * 1000), until: iso(to * 1000) };
}

function iso(ms: number): string {
  return new Date(ms).toISOString().replace(/\.000Z$/u, "Z");
}

/** The range before (-1) or after (1) this one; one that would reach beyond now ends now. */
export function shifted(range: TimeRange, by: 1 | -1, now: number): TimeRange {
  const { start, end } = boundsOf(range, now);
  const half = ((end - start) / 2) * by;
  return end + half >= now ? { since: relativeOf(end - start), until: "" } : between(start + half, end + half);
}

/** Twice as long around the same centre. */
export function widened(range: TimeRange, now: number): TimeRange {
  const { start, end } = boundsOf(range, now);
  const half = (end - start) / 2;
  return isLive(range) || end + half >= now
    ? { since: relativeOf(4 * half), until: "" }
    : between(start - half, end + half);
}

/** A length in ms as a relative time, in the largest unit without a fraction. */
function relativeOf(ms: number): string {
  const seconds = Math.max(1, Math.round(ms / 1000));
  const unit = ["w", "d", "h", "m", "s"].find((each) => seconds % (SECONDS[each] ?? 1) === 0) ?? "s";
  const [size, shown] = unit === "w" ? [seconds / 86_400, "d"] : [seconds / (SECONDS[unit] ?? 1), unit];
  return `${size}${shown}`;
}

/** Parse a time that a user entered; null if it is invalid. '' is now; without a date it is today. */
export function parseTime(written: string, zone: Zone, now: number): string | null {
  const given = written.trim();
  if (given === "" || given === "now") return "";
  const relative = given.replace(/^now\s*-\s*/u, "");
  if (RELATIVE.test(relative)) return relative;
  if (isTime(given)) return iso(Date.parse(given));
  const found = WRITTEN.exec(given);
  if (found === null) return null;
  const utc = zone === "utc" || found[7] !== undefined;
  const today = new Date(now);
  const [year, month, day] = utc
    ? [today.getUTCFullYear(), today.getUTCMonth() + 1, today.getUTCDate()]
    : [today.getFullYear(), today.getMonth() + 1, today.getDate()];
  const part = (index: number, fallback: number): number => Number(found[index] ?? fallback);
  const fields = [part(1, year), part(2, month), part(3, day), part(4, 0), part(5, 0), part(6, 0)] as const;
  const [y, m, d, hour, minute, second] = fields;
  const exact = new Date(Date.UTC(y, m - 1, d, hour, minute, second));
  // 31 February is an error, not 3 March.
  if (exact.getUTCMonth() !== m - 1 || exact.getUTCDate() !== d || hour > 23 || minute > 59 || second > 59) return null;
  return iso(utc ? exact.getTime() : new Date(y, m - 1, d, hour, minute, second).getTime());
}

/** A time of the URL in the format of the input field. */
export function writtenTime(value: string, zone: Zone): string {
  if (value === "") return "now";
  return RELATIVE.test(value) ? `now-${value}` : dateTime(Date.parse(value) * 1e6, zone);
}

/** `Last hour`, `Last 45 min`, `2026-11-21 13:00:00 to 14:00:00 UTC`. */
export function rangeText(range: TimeRange, zone: Zone): string {
  if (isLive(range) && RELATIVE.test(range.since)) return text.range.last(spanText(range.since));
  const [from, to] = [writtenTime(range.since, zone), writtenTime(range.until, zone)];
  const sameDay = from.slice(0, 10) === to.slice(0, 10) && to.includes(":");
  const suffix = zone === "utc" ? " UTC" : "";
  return `${text.range.fromTo(from, sameDay ? to.slice(11) : to)}${suffix}`;
}

/** A relative time as text. */
export function spanText(value: string): string {
  const [, size = "0", unit = "s"] = RELATIVE.exec(value) ?? [];
  const words = text.range.units[unit as keyof typeof text.range.units];
  return words(Number(size));
}
