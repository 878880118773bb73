/**
 * What the API takes and answers. Made by dashboard/api_types.py from the collector's models: do not edit.
 *
 * `*_ns` are nanoseconds. A number keeps 256 ns of an epoch time; durations are exact.
 */

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** What to change, and why. */
export interface Advice {
  title: string;
  reason: string;
  steps: string[];
  code: string;
  link: string;
}

/** Where in the application: the innermost frame that belongs to it. */
export interface CallSite {
  function: string;
  file: string;
  line: number;
}

/** One fingerprinted problem: kind, service, call site and route family. */
export interface Finding {
  /** stable while function and file stay: lines may move */
  id: string;
  kind: FindingKind;
  service: string;
  /** what happens, in one sentence */
  summary: string;
  call_site: CallSite;
  routes: string[];
  count: number;
  total_ns: number;
  p50_ns: number;
  p95_ns: number;
  max_ns: number;
  victims: Victims;
  holders: Holder[];
  /** what blocked, crossed or was refused, where known */
  operation: string;
  /** for a refusal: what led there, outermost first */
  chain: string[];
  /** innermost last; empty where none was taken */
  stack: string[];
  /** thread role for contention and pool starvation, else '' */
  executor: string;
  /** occurrences reported that have not ended */
  ongoing: number;
  first_seen: string;
  last_seen: string;
  trace_ids: string[];
  advice: Advice;
}

/** A finding with how it went over time. */
export interface FindingDetail {
  /** stable while function and file stay: lines may move */
  id: string;
  kind: FindingKind;
  service: string;
  /** what happens, in one sentence */
  summary: string;
  call_site: CallSite;
  routes: string[];
  count: number;
  total_ns: number;
  p50_ns: number;
  p95_ns: number;
  max_ns: number;
  victims: Victims;
  holders: Holder[];
  /** what blocked, crossed or was refused, where known */
  operation: string;
  /** for a refusal: what led there, outermost first */
  chain: string[];
  /** innermost last; empty where none was taken */
  stack: string[];
  /** thread role for contention and pool starvation, else '' */
  executor: string;
  /** occurrences reported that have not ended */
  ongoing: number;
  first_seen: string;
  last_seen: string;
  trace_ids: string[];
  advice: Advice;
  series: Point[];
}

/** The problems asgiscope names. */
export type FindingKind =
  | "loop_blocked"
  | "contention"
  | "pool_starvation"
  | "refusal"
  | "sync_middleware"
  | "parked_thread"
  | "deadlock"
  | "hop_storm"
  | "stream_read_whole"
  | "session_saved";

/** A page of findings, costliest for users first unless asked otherwise. */
export interface Findings {
  findings: Finding[];
  total: number;
}

/** One step of the overview's series. */
export interface HealthPoint {
  time_ns: number;
  requests: number;
  loop_blocked_ns: number;
  wait_ns: number;
  refusals: number;
}

/** A call that occupied the thread while others waited, summed by function, call site and route. */
export interface Holder {
  function: string;
  call_site: CallSite;
  route: string;
  overlap_ns: number;
  count: number;
  /** evidence: a trace in which this call held the thread; '' if unknown */
  trace_id: string;
}

/** Is anything wrong, and where to look. */
export interface Overview {
  since_ns: number;
  until_ns: number;
  step_ns: number;
  services: ServiceHealth[];
  series: HealthPoint[];
  findings: Finding[];
}

/** One step of a time series. */
export interface Point {
  time_ns: number;
  requests: number;
  count: number;
  total_ns: number;
}

/** An error: what went wrong and what to do. */
export interface Problem {
  error: string;
  hint: string;
}

/** One service over the range asked for. */
export interface ServiceHealth {
  service: string;
  requests: number;
  requests_per_second: number;
  errors: number;
  loop_blocked_ns: number;
  /** blocked time / (range seen x processes), 0 to 1; overlapping stalls counted once each */
  loop_blocked_share: number;
  processes: number;
  wait_ns: number;
  wait_p50_ns: number;
  wait_p95_ns: number;
  wait_p99_ns: number;
  shared_waits: number;
  refusals: number;
  hops_per_request: number;
  last_seen: string;
}

/** Names of the services seen in the range. */
export interface Services {
  services: string[];
}

/** What comes first. */
export type Sort = "impact" | "total" | "count" | "p95" | "max" | "victims" | "last_seen" | "first_seen";

/** One span. Attribute values are strings, as stored, except the numbers and booleans of semconv. */
export interface Span {
  trace_id: string;
  span_id: string;
  parent_span_id: string;
  name: string;
  kind: string;
  service: string;
  scope: string;
  start_ns: number;
  duration_ns: number;
  /** Unset, Ok or Error */
  status_code: string;
  status_message: string;
  attributes: Record<string, Json>;
  resource: Record<string, Json>;
  links: SpanLink[];
  events: SpanEvent[];
}

/** Something that happened at a moment within a span. */
export interface SpanEvent {
  time_ns: number;
  name: string;
  attributes: Record<string, Json>;
}

/** From one span to another, possibly of another trace. */
export interface SpanLink {
  trace_id: string;
  span_id: string;
  attributes: Record<string, Json>;
}

/** How requests ended. */
export type Status = "ok" | "error";

/** A trace's spans, by start time, at most limit. */
export interface Trace {
  trace_id: string;
  spans: Span[];
  /** holders' and blockers' spans of other traces that this trace's spans link to, and the stalls of other traces that delayed this one */
  ghosts: Span[];
  total: number;
  truncated: boolean;
}

/** One trace in a list: its root (or first server) span and the sums on it. */
export interface TraceSummary {
  trace_id: string;
  service: string;
  name: string;
  method: string;
  route: string;
  status_code: number;
  error: boolean;
  start_ns: number;
  duration_ns: number;
  spans: number;
  hops: number;
  wait_ns: number;
  loop_caused_ns: number;
  loop_suffered_ns: number;
  queries: number;
  refusals: number;
}

/** A page of traces, newest first unless asked otherwise. */
export interface Traces {
  traces: TraceSummary[];
  /** pass as before_ns for the next page; null at the end */
  next_before_ns: number | null;
}

/** Requests that a problem delayed or failed. */
export interface Victims {
  requests: number;
  total_ns: number;
}

/** Method and path below /api/: what each takes, and what it answers. */
export interface Endpoints {
  "GET overview": {
    query: {
      service?: string;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Overview;
  };
  "GET findings": {
    query: {
      service?: string;
      kind?: FindingKind[];
      route?: string;
      q?: string;
      sort?: Sort;
      limit?: number;
      offset?: number;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Findings;
  };
  "GET findings/{finding_id}": {
    query: {
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: FindingDetail;
  };
  "GET traces": {
    query: {
      service?: string;
      route?: string;
      status?: Status;
      min_duration_ns?: number;
      finding?: string;
      before_ns?: number;
      limit?: number;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Traces;
  };
  "GET traces/{trace_id}": {
    query: {
      limit?: number;
    };
    body: undefined;
    answer: Trace;
  };
  "GET services": {
    query: {
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Services;
  };
}
