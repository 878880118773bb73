/** Spans for the tests of the models. */

import * as sem from "../api/semconv";
import type { Attributes, Lane, Shares, Span, SpanLink, Timeline, Trace } from "../api/types";

export const TRACE_ID = "a".repeat(32);
export const OTHER_ID = "b".repeat(32);
/** Early enough that a JavaScript number represents every ns, unlike current times: see the test of rounding. */
export const T0 = 1_000_000_000_000_000;
export const MS = 1e6;

let next = 0;

/** Times in ms from T0. */
export function span(name: string, startMs: number, lengthMs: number, changes: Partial<Span> = {}): Span {
  next += 1;
  return {
    trace_id: TRACE_ID,
    span_id: next.toString(16).padStart(16, "0"),
    parent_span_id: "",
    name,
    kind: "Internal",
    category: "work",
    service: "shop",
    scope: "asgiscope",
    start_ns: T0 + startMs * MS,
    duration_ns: lengthMs * MS,
    status_code: "Unset",
    status_message: "",
    attributes: {},
    resource: {},
    links: [],
    events: [],
    ...changes,
  };
}

export function thread(role: string, name: string): Attributes {
  return { [sem.THREAD_ROLE]: role, [sem.THREAD_NAME]: name };
}

export const LOOP = thread("event_loop", "MainThread");

export function request(lengthMs: number, changes: Partial<Span> = {}): Span {
  return span("GET products/", 0, lengthMs, {
    kind: "Server",
    category: "request",
    attributes: { ...LOOP, [sem.HTTP_METHOD]: "GET", [sem.HTTP_ROUTE]: "products/" },
    ...changes,
  });
}

/** A `sync_to_async` call from the loop to thread `run`; phases in ms. */
export function bridge(
  name: string,
  startMs: number,
  [waitMs, runMs, resumeMs]: readonly [number, number, number],
  run: number,
  changes: Partial<Span> = {},
): Span {
  return span(`sync_to_async shop.${name}`, startMs, waitMs + runMs + resumeMs, {
    category: "bridge",
    ...changes,
    attributes: {
      ...LOOP,
      [sem.BRIDGE_FUNCTION]: `shop.${name}`,
      [sem.WAIT_NS]: waitMs * MS,
      [sem.RUN_NS]: runMs * MS,
      [sem.RESUME_NS]: resumeMs * MS,
      [sem.RUN_THREAD_NAME]: `pool-${run}`,
      [sem.EXECUTOR_ROLE]: "shared",
      ...changes.attributes,
    },
  });
}

export function heldBy(holder: Span, overlapMs: number): SpanLink {
  return {
    trace_id: holder.trace_id,
    span_id: holder.span_id,
    attributes: { [sem.LINK]: sem.HELD_BY, [sem.OVERLAP_NS]: overlapMs * MS, [sem.LINK_FUNCTION]: "shop.holder" },
  };
}

export const NO_SHARES: Shares = {
  total_ns: 0, blocking_ns: 0, query_ns: 0, run_ns: 0, stalled_ns: 0, wait_ns: 0, resume_ns: 0, other_ns: 0,
};

export function lane(role: string, changes: Partial<Lane>): Lane {
  return { process: "shop/shop-1", role, thread: "", queue: "", rows: 1, bars: [], stalls: [], resumes: [], ...changes };
}

/** Lanes of a trace of `lengthMs`. */
export function lanes(lengthMs: number, given: Lane[], waits: Timeline["waits"] = []): Timeline {
  return { origin_ns: T0, duration_ns: lengthMs * MS, lanes: given, waits };
}

export function trace(spans: Span[], linked_spans: Span[] = [], timeline: Timeline = lanes(0, [])): Trace {
  const of = { root_span_id: spans[0]?.span_id ?? "", shares: NO_SHARES, critical_path: [], timeline };
  return { trace_id: TRACE_ID, spans, linked_spans, total: spans.length, truncated: false, ...of };
}
