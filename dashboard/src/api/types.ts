/**
 * What the API answers: asgiscope_collector/models.py, name for name (tests/dashboard/test_types.py compares).
 *
 * `*_ns` are nanoseconds. A number keeps 256 ns of an epoch time; durations are exact.
 */

export type FindingKind =
  | "loop_blocked"
  | "contention"
  | "pool_starvation"
  | "refusal"
  | "sync_middleware"
  | "parked_thread"
  | "hop_storm";

export type AttributeValue = string | number | boolean | null | AttributeValue[] | { [key: string]: AttributeValue };
export type Attributes = Record<string, AttributeValue>;

export interface CallSite {
  function: string;
  file: string;
  line: number;
}

export interface Victims {
  requests: number;
  total_ns: number;
}

export interface Holder {
  function: string;
  call_site: CallSite;
  route: string;
  overlap_ns: number;
  count: number;
  trace_id: string;
}

export interface Advice {
  title: string;
  reason: string;
  steps: string[];
  code: string;
  link: string;
}

export interface Finding {
  id: string;
  kind: FindingKind;
  service: string;
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
  operation: string;
  chain: string[];
  stack: string[];
  executor: string;
  ongoing: number;
  first_seen: string;
  last_seen: string;
  trace_ids: string[];
  advice: Advice;
}

export interface Findings {
  findings: Finding[];
  total: number;
}

export interface Point {
  time_ns: number;
  requests: number;
  count: number;
  total_ns: number;
}

export interface FindingDetail extends Finding {
  series: Point[];
}

export interface ServiceHealth {
  service: string;
  requests: number;
  requests_per_second: number;
  errors: number;
  loop_blocked_ns: number;
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

export interface HealthPoint {
  time_ns: number;
  requests: number;
  loop_blocked_ns: number;
  wait_ns: number;
  refusals: number;
}

export interface Overview {
  since_ns: number;
  until_ns: number;
  step_ns: number;
  services: ServiceHealth[];
  series: HealthPoint[];
  findings: Finding[];
}

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

export interface Traces {
  traces: TraceSummary[];
  next_before_ns: number | null;
}

export interface SpanLink {
  trace_id: string;
  span_id: string;
  attributes: Attributes;
}

export interface SpanEvent {
  time_ns: number;
  name: string;
  attributes: Attributes;
}

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
  status_code: string;
  status_message: string;
  attributes: Attributes;
  resource: Attributes;
  links: SpanLink[];
  events: SpanEvent[];
}

export interface Trace {
  trace_id: string;
  spans: Span[];
  ghosts: Span[];
  total: number;
  truncated: boolean;
}

export interface Services {
  services: string[];
}

export interface Problem {
  error: string;
  hint: string;
}
