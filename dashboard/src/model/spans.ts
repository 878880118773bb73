/** Values from a span's attributes, and the durations within a bridge call. */

import * as sem from "../api/semconv";
import type { Attributes, Span, SpanLink, Trace } from "../api/types";

export function numberOf(attributes: Attributes, name: string): number | null {
  const value = attributes[name];
  if (typeof value === "number") return value;
  if (typeof value !== "string" || value.trim() === "") return null;
  const parsed = Number(value);
  return Number.isFinite(parsed) ? parsed : null;
}

export function textOf(attributes: Attributes, name: string): string {
  const value = attributes[name];
  if (value === undefined || value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

export function flagOf(attributes: Attributes, name: string): boolean {
  const value = attributes[name];
  return value === true || value === "true";
}

/** Identifies a span among all traces. */
export function keyOf(span: { trace_id: string; span_id: string }): string {
  return `${span.trace_id}/${span.span_id}`;
}

/** Durations within a bridge call, ns: waiting in the queue, running, and waiting for the loop to resume it. */
export interface Phases {
  waitNs: number;
  runNs: number;
  resumeNs: number;
}

/** A call without phase attributes (of another library with the same name) ran for all of its duration. */
export function phasesOf(span: Span): Phases {
  const wait = numberOf(span.attributes, sem.WAIT_NS);
  const run = numberOf(span.attributes, sem.RUN_NS);
  if (wait === null && run === null) return { waitNs: 0, runNs: span.duration_ns, resumeNs: 0 };
  return { waitNs: wait ?? 0, runNs: run ?? 0, resumeNs: numberOf(span.attributes, sem.RESUME_NS) ?? 0 };
}

export function linksOf(span: Span, kind: string): SpanLink[] {
  return span.links.filter((link) => link.attributes[sem.LINK] === kind);
}

export interface Site {
  function: string;
  file: string;
  line: number;
}

export function siteOf(attributes: Attributes): Site {
  return {
    function: textOf(attributes, sem.CODE_FUNCTION),
    file: textOf(attributes, sem.CODE_FILE),
    line: numberOf(attributes, sem.CODE_LINE) ?? 0,
  };
}

/** `GET /products/{id}`, as far as known; a request that failed before it was routed has its path instead. */
export function routeOf(attributes: Attributes): string {
  const method = textOf(attributes, sem.HTTP_METHOD);
  const route = textOf(attributes, sem.HTTP_ROUTE) || textOf(attributes, sem.URL_PATH);
  return [method, route].filter((part) => part !== "").join(" ");
}

/** The main request of the trace: its outermost server span, else its first span. */
export function rootOf(trace: Trace): Span | null {
  return trace.spans.find((span) => span.span_id === trace.root_span_id) ?? null;
}
