/** Values of alert rules in their units, and matchers of silences. */

import type { Alert, Matcher, RuleState, SilenceRequest, Unit } from "../api/types";
import { count, duration, percent, significant } from "./format";

/** A rule's value with its unit. */
export function valueText(value: number | null, unit: Unit): string {
  if (value === null) return "";
  switch (unit) {
    case "share":
      return percent(value);
    case "ns":
      return duration(value);
    case "ratio":
      return `${significant(value)}\u00d7`;
    default:
      return Number.isInteger(value) ? count(value) : significant(value);
  }
}

/** The highest value on a rule's chart: values are shown in relation to the limit. */
export function scaleOf({ history, threshold }: Pick<RuleState, "history" | "threshold">): number {
  const most = history.reduce((max, { value }) => Math.max(max, value ?? 0), 0);
  return Math.max(most, threshold * 1.25) || 1;
}

/** Whether the condition holds at `value`. */
export function isBeyond(value: number, { threshold, below }: Pick<RuleState, "threshold" | "below">): boolean {
  return below ? value < threshold : value > threshold;
}

/** The labels that identify an alert, as matchers of a silence. */
const TELLING = ["alertname", "service", "environment", "route", "call_site", "executor"];

export function matchersOf(alert: Pick<Alert, "labels">): Matcher[] {
  return TELLING.flatMap((name) => {
    const value = alert.labels[name] ?? "";
    return value === "" ? [] : [{ name, value }];
  });
}

/** Matchers in a URL: `service=shop;route=/a/`. */
export function writeMatchers(matchers: readonly Matcher[]): string {
  return matchers.map(({ name, value }) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join(";");
}

export function readMatchers(text: string): Matcher[] {
  return text.split(";").flatMap((part) => {
    const at = part.indexOf("=");
    if (at <= 0) return [];
    try {
      return [{ name: decodeURIComponent(part.slice(0, at)), value: decodeURIComponent(part.slice(at + 1)) }];
    } catch {
      return []; // a stray % sign: not of ours
    }
  });
}

const HOUR_NS = 3600e9;

/** The request of the form; null if it is incomplete. `length` is in whole hours: `4h`. */
export function silenceOf(matchers: readonly Matcher[], length: string, comment: string): SilenceRequest | null {
  const given = matchers.map(({ name, value }) => ({ name, value: value.trim() })).filter(({ value }) => value !== "");
  const hours = Number.parseInt(length, 10);
  if (given.length === 0 || !(hours > 0)) return null;
  return { matchers: given, duration_ns: hours * HOUR_NS, comment: comment.trim() };
}

/** The annotations that the collector sets; the rest are the rule's own. */
const WRITTEN = new Set([
  "advice", "advice_link", "call_site", "cause", "condition", "finding_url", "held_by", "impact", "release", "route",
  "since", "summary", "threshold", "trace_url", "value", "value_at_firing",
]);

export interface Note {
  name: string;
  text: string;
  /** The link target if it is a web address, else none. */
  host: string;
}

/** A rule's own annotations, such as its runbook, by name. */
export function ownNotes({ annotations }: Pick<Alert, "annotations">): Note[] {
  return Object.entries(annotations)
    .filter(([name]) => !WRITTEN.has(name))
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, text]) => ({ name, text, host: hostOf(text) }));
}

function hostOf(text: string): string {
  return /^https?:\/\/\S+$/u.test(text) && URL.canParse(text) ? new URL(text).host : "";
}
