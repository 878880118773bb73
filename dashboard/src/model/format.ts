/** Numbers with units, times and places, in the formats of the page. */

import { signal } from "@preact/signals";
import { text } from "../text";

const NNBSP = "\u202f";

const DURATION_UNITS: readonly (readonly [number, string])[] = [
  [3600e9, "h"],
  [60e9, "min"],
  [1e9, "s"],
  [1e6, "ms"],
  [1e3, "\u00b5s"],
  [1, "ns"],
];

/** Cached by the number of digits: creating one costs as much as formatting a hundred numbers. */
const NUMBERS = [0, 1, 2].map(
  (digits) => new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
);

/** `value` with at most three significant digits and no exponent: 1,234 · 123 · 12.3 · 1.23. */
export function significant(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  return trimmed(NUMBERS[digits]?.format(value) ?? "");
}

function trimmed(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/u, "") : text;
}

/** A duration given in ns, in the unit that keeps it between 1 and 1000 if there is one. */
export function duration(ns: number): string {
  if (ns === 0) return `0${NNBSP}ms`;
  const [size, unit] = DURATION_UNITS.find(([unitNs]) => Math.abs(ns) >= unitNs * 0.9995) ?? ([1, "ns"] as const);
  return `${significant(ns / size)}${NNBSP}${unit}`;
}

/** A share from 0 to 1 as a percentage; what is not zero is never shown as zero. */
export function percent(share: number): string {
  const value = share * 100;
  if (value > 0 && value < 0.1) return `<${NNBSP}0.1${NNBSP}%`;
  return `${trimmed(value.toFixed(value < 10 ? 1 : 0))}${NNBSP}%`;
}

/** A whole number: exact below ten thousand, else with k, M or G. */
export function count(value: number): string {
  if (value < 10_000) return NUMBERS[0]?.format(value) ?? "";
  const [size, unit] = value >= 1e9 ? [1e9, "G"] : value >= 1e6 ? [1e6, "M"] : [1e3, "k"];
  return `${significant(value / (size as number))}${NNBSP}${unit}`;
}

/** A size in bytes, with binary prefixes. */
export function bytes(value: number): string {
  const power = value < 1 ? 0 : Math.min(4, Math.floor(Math.log2(value) / 10));
  return `${significant(value / 1024 ** power)}${NNBSP}${["B", "KiB", "MiB", "GiB", "TiB"][power] ?? ""}`;
}

export function rate(perSecond: number): string {
  return `${significant(perSecond)}/s`;
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

export type Zone = "local" | "utc";

/** The time zone for display; components that read it are rendered again when it changes. */
export const zone = signal<Zone>("local");

/** A time of day in the chosen zone, with the date unless it is that of `now`. `ns` since the epoch. */
export function clock(ns: number, now = new Date()): string {
  const time = new Date(ns / 1e6);
  const timeZone = zoneOption(zone.value);
  const shown = time.toLocaleTimeString("en-GB", timeZone);
  const dated: Intl.DateTimeFormatOptions = { day: "numeric", month: "short", ...timeZone };
  const day = time.toLocaleDateString("en-GB", dated);
  return day === now.toLocaleDateString("en-GB", dated) ? shown : `${day} ${shown}`;
}

/** `2026-11-21 13:00:00` in a zone; its text order is chronological. */
export function dateTime(ns: number, where: Zone): string {
  const options: Intl.DateTimeFormatOptions = { dateStyle: "short", timeStyle: "medium", ...zoneOption(where) };
  // The Swedish date format is ISO 8601.
  return new Date(ns / 1e6).toLocaleString("sv", options);
}

export function zoneOption(where: Zone): { timeZone?: string } {
  return where === "utc" ? { timeZone: "UTC" } : {};
}

/** A moment in both zones: the user's, and UTC for logs and colleagues elsewhere. */
export function bothZones(ns: number): string {
  return `${dateTime(ns, "local")} local, ${utc(ns)}`;
}

/** A moment in UTC, with ms. */
export function utc(ns: number): string {
  return `${new Date(ns / 1e6).toISOString().replace("T", " ").replace("Z", "")} UTC`;
}

/** How long before or after `now` (ms since the epoch) a moment is: `just now`, `42 s ago`, `in 3 h`. */
export function ago(ns: number, now: number): string {
  const seconds = Math.floor(now / 1e3 - ns / 1e9);
  if (seconds < -2) return text.times.ahead(aheadText(-seconds));
  if (seconds < 2) return text.times.justNow;
  if (seconds < 60) return text.times.seconds(seconds);
  if (seconds < 3600) return text.times.minutes(Math.floor(seconds / 60));
  if (seconds < 86_400) return text.times.hours(Math.floor(seconds / 3600));
  return text.times.days(Math.floor(seconds / 86_400));
}

function aheadText(seconds: number): string {
  const [size, unit] = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([least]) => seconds >= Number(least)) as [number, string];
  return `${Math.round(seconds / size)}${NNBSP}${unit}`;
}

/** An RFC 3339 time as ns since the epoch; null if it is not one. */
export function momentNs(text: string): number | null {
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms * 1e6;
}

/** `file:line`, the file shortened to the part from its package or project on. Empty without a file. */
export function place(file: string, line: number): string {
  if (file === "") return "";
  return line > 0 ? `${shortFile(file)}:${line}` : shortFile(file);
}

/** A path without the folders up to site-packages or the standard library, at most its last four parts. */
export function shortFile(file: string): string {
  const installed = /^.*(?:site-packages|dist-packages|\/lib\/python3\.\d+t?)\/(.+)$/u.exec(file)?.[1];
  const parts = (installed ?? file).split("/");
  if (parts.length <= 4) return installed ?? file;
  return `\u2026/${parts.slice(-3).join("/")}`;
}
