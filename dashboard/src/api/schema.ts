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

/** One firing of a rule's series: what, where, how severe, since when. */
export interface Alert {
  /** of this firing */
  id: string;
  /** of the rule and the series, the same each time it fires */
  fingerprint: string;
  rule: string;
  severity: Severity;
  state: AlertState;
  labels: Record<string, string>;
  /** summary, impact, held_by, advice, finding_url, trace_url, ... and those of the rule */
  annotations: Record<string, string>;
  /** in the newest window in which the condition held */
  value: number;
  value_text: string;
  /** in the window for which it fired */
  fired_value: number;
  fired_value_text: string;
  starts_at: string;
  starts_ns: number;
  /** '' while it fires */
  ends_at: string;
  ends_ns: number;
  /** ids of silences, maintenance and the name of a window */
  muted_by: string[];
  /** '' where the alert is not about one finding */
  finding_id: string;
}

/** State of an alert. */
export type AlertState = "inactive" | "pending" | "firing" | "resolved";

/** State of alerting itself. */
export interface AlertStatus {
  /** the rules file; '' where only the built-in rules are used */
  file: string;
  loaded_at: string;
  /** why the file as it is now is not used, or '' */
  error: string;
  /** whether this collector evaluates; of a cluster's, one does */
  evaluator: boolean;
  /** which collector evaluates */
  owner: string;
  evaluated_at: string;
  /** to read the rules that were due, when any was last */
  took_ms: number;
  /** why the newest evaluation failed, or '' */
  failure: string;
  interval_ns: number;
  rules: number;
  receivers: number;
  firing: number;
}

/** Alerts, newest first: the firing ones before the others. */
export interface Alerts {
  alerts: Alert[];
  firing: number;
}

/** One attempt to deliver a notification, and the response. */
export interface Attempt {
  number: number;
  at: string;
  at_ns: number;
  /** of HTTP or SMTP; 0 where there was no answer */
  status: number;
  /** what the receiver said, or what went wrong; never a secret */
  answer: string;
  took_ms: number;
}

/** A span in its row: it waits from start_ns, and then runs. Only bridge calls wait. */
export interface Bar {
  /** index in spans, or len(spans) + index in linked_spans */
  span: number;
  /** 0 on top; no two bars of a row are there at the same time */
  row: number;
  start_ns: number;
  wait_ns: number;
  run_ns: number;
}

/** Call sites that blocked event loops, the most time first, and the share of time that loops were blocked. */
export interface Blocking {
  step_ns: number;
  /** time that event loops were watched, over all processes */
  loop_ns: number;
  blocked_ns: number;
  loop_share: number;
  sites: BlockingSite[];
  total: number;
  series: BlockingPoint[];
}

/** One step of the series. */
export interface BlockingPoint {
  time_ns: number;
  blocked_ns: number;
  loop_share: number;
}

/** A call site that blocked an event loop. */
export interface BlockingSite {
  finding_id: string;
  service: string;
  call_site: CallSite;
  operation: string;
  count: number;
  total_ns: number;
  p95_ns: number;
  max_ns: number;
  /** of the time that the service's loops were watched, 0 to 1 */
  loop_share: number;
  victims: Victims;
  routes: RouteCost[];
}

/** Occurrences whose cost was at least low_ns and less than high_ns. */
export interface Bucket {
  low_ns: number;
  high_ns: number;
  count: number;
}

/** A place in the application: the innermost frame that belongs to it. */
export interface CallSite {
  function: string;
  file: string;
  line: number;
}

/** What a span represents, by its name, kind and attributes; the first match counts. */
export type Category = "stall" | "refusal" | "bridge" | "async_to_sync" | "request" | "query" | "session" | "work";

/** Time that a waiter lost to a holder. */
export interface Cell {
  /** index in waiters */
  waiter: number;
  /** index in holders */
  holder: number;
  overlap_ns: number;
  count: number;
  /** evidence: the trace of the holder in the longest overlap; '' if unknown */
  trace_id: string;
}

/** The middleware chain of a service, as last loaded. */
export interface Chain {
  service: string;
  environment: string;
  version: string;
  /** when a process loaded it last */
  loaded: string;
  /** outermost first */
  layers: Layer[];
  /** crossings that the chain's adaptations cost each request */
  hops: number;
  /** crossings that its middlewares' hooks make, a request on average */
  hook_hops: number;
  /** all crossings of a request on average, the view's own included */
  hops_per_request: number;
  requests: number;
  /** what to change first, first */
  changes: Change[];
}

/** A change to the chain, and what it saves. */
export interface Change {
  layers: string[];
  title: string;
  reason: string;
  /** a request, if nothing else of the chain changes; below 0: the hops that it adds */
  saves_hops: number;
}

/** The comparison of two versions or periods. */
export interface Comparison {
  base: Side;
  other: Side;
  /** what changed first, then by cost */
  findings: FindingChange[];
  findings_total: number;
  /** at most 200 routes */
  traffic: RouteTraffic[];
  traffic_total: number;
  /** half the sum of the differences of the routes' shares: 0 the same mix, 1 nothing in common */
  traffic_distance: number;
  /** the test of the counts, and when its p value counts */
  rate_test: string;
  /** the test of the costs, and when its p value counts */
  cost_test: string;
}

/** Waiters and holders, the most time lost first. */
export interface Contention {
  roles: RoleWaits[];
  waiters: Waiter[];
  /** findings that waited for a call that is named */
  waiters_total: number;
  holders: MatrixHolder[];
  /** calls that these waiters waited for */
  holders_total: number;
  cells: Cell[];
  /** all waiting in the range that has a finding */
  wait_ns: number;
  /** of which the holders are named; the matrix may show less, see limit */
  named_ns: number;
  shared: Occupation;
}

/** Name and password. */
export interface Credentials {
  name: string;
  password: string;
}

/** A decision to record. */
export interface Decide {
  /** open, resolved or ignored */
  state: State;
  /** required to ignore */
  reason?: string;
}

/** A user's decision about a finding. */
export interface Decision {
  /** open, resolved or ignored */
  state: State;
  reason: string;
  by: string;
  at: string;
}

/** What to delete: one of these. */
export interface Delete {
  /** all that it has sent */
  service?: string | null;
  /** the spans of a trace */
  trace_id?: string | null;
  /** all days before this one, UTC; not in the future */
  before?: string | null;
}

/** Rows deleted from a table of the store. */
export interface DeletedRows {
  table: string;
  rows: number;
}

/** What was deleted; empty if nothing of it was stored. */
export interface Deletion {
  deleted: DeletedRows[];
}

/** Deliveries, newest first. */
export interface Deliveries {
  deliveries: Delivery[];
}

/** A notification to a receiver; its id is the same for all attempts. */
export interface Delivery {
  id: string;
  receiver: string;
  group_key: string;
  reason: string;
  outcome: ModelsOutcome;
  decided_at: string;
  decided_ns: number;
  /** '' unless it is pending */
  next_attempt_at: string;
  /** ids of alerts */
  firing: string[];
  resolved: string[];
  attempts: Attempt[];
}

/** One fingerprinted problem: kind, service, call site and route family. */
export interface Finding {
  /** stable while function and file stay: lines may move */
  id: string;
  kind: FindingKind;
  service: string;
  environments: string[];
  /** of the service, newest first, in which it was seen */
  versions: string[];
  state: FindingState;
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
  /** what users lost, by which lists are ranked; a refusal counts as 1 s */
  impact_ns: number;
  holders: Holder[];
  /** what blocked, crossed or was refused, where known */
  operation: string;
  /** what kind of operation that is, as a probe saw it; '' if unknown */
  operation_kind: string;
  /** for a refusal: the exception's message; else '' */
  message: string;
  /** of the newest refusal; null outside of a request */
  outcome: FindingsOutcome | null;
  /** the package's line that worked for the call site; '' where there is none */
  library_site: string;
  /** the query on which the holder of the newest wait spent most of the time, without literals; '' where there is none */
  holder_query: string;
  /** what the site declares, beside the call site */
  user_object: UserObject | null;
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
  /** occurrences in equal steps over the range, oldest first */
  sparkline: number[];
  advice: Advice;
}

/** A finding on both sides. */
export interface FindingChange {
  finding_id: string;
  kind: FindingKind;
  service: string;
  call_site: CallSite;
  operation: string;
  verdict: Verdict;
  /** the verdict in a sentence */
  reason: string;
  base_count: number;
  count: number;
  /** occurrences a thousand requests */
  base_rate: number;
  rate: number;
  /** rate / base_rate; null where the base has none */
  rate_ratio: number | null;
  /** its 95 % confidence interval; null: no bound */
  rate_ratio_low: number | null;
  rate_ratio_high: number | null;
  /** p value of the test of the counts */
  rate_p: number;
  base_p50_ns: number;
  p50_ns: number;
  base_p95_ns: number;
  p95_ns: number;
  /** p value of the test of the cost of one occurrence; 1 where one is missing */
  cost_p: number;
  base_total_ns: number;
  total_ns: number;
}

/** A finding with its development over time, the affected routes, and its decisions. */
export interface FindingDetail {
  /** stable while function and file stay: lines may move */
  id: string;
  kind: FindingKind;
  service: string;
  environments: string[];
  /** of the service, newest first, in which it was seen */
  versions: string[];
  state: FindingState;
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
  /** what users lost, by which lists are ranked; a refusal counts as 1 s */
  impact_ns: number;
  holders: Holder[];
  /** what blocked, crossed or was refused, where known */
  operation: string;
  /** what kind of operation that is, as a probe saw it; '' if unknown */
  operation_kind: string;
  /** for a refusal: the exception's message; else '' */
  message: string;
  /** of the newest refusal; null outside of a request */
  outcome: FindingsOutcome | null;
  /** the package's line that worked for the call site; '' where there is none */
  library_site: string;
  /** the query on which the holder of the newest wait spent most of the time, without literals; '' where there is none */
  holder_query: string;
  /** what the site declares, beside the call site */
  user_object: UserObject | null;
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
  /** occurrences in equal steps over the range, oldest first */
  sparkline: number[];
  advice: Advice;
  /** of the newest occurrence; null unless the site sends it (ASGISCOPE_SOURCE_LINES) */
  source: SourceContext | null;
  /** of a blocked loop, its newest occurrence: what its thread waited for, what the system counted */
  stall_evidence: string[];
  series: Point[];
  /** of the cost of one occurrence; without empty ends */
  distribution: Bucket[];
  /** the most expensive 100 */
  by_route: RouteCost[];
  by_route_total: number;
  /** the 100 that lost most */
  by_victim_route: VictimRoute[];
  by_victim_route_total: number;
  /** the newest 50 */
  by_release: FindingRelease[];
  by_release_total: number;
  /** the traces of trace_ids that are stored */
  evidence: TraceSummary[];
  /** newest first */
  decisions: Decision[];
}

/** The kinds of problems that asgiscope reports. */
export type FindingKind =
  | "loop_blocked"
  | "contention"
  | "pool_starvation"
  | "refusal"
  | "sync_middleware"
  | "parked_thread"
  | "deadlock"
  | "connection_wait"
  | "connection_left"
  | "connection_idle"
  | "hop_storm"
  | "stream_read_whole"
  | "session_saved";

/** A finding in one version of its service. */
export interface FindingRelease {
  /** '' where the service sends none */
  version: string;
  count: number;
  total_ns: number;
  /** of this version in the range, over all routes */
  requests: number;
  per_thousand_requests: number;
  first_seen: string;
  last_seen: string;
}

/** The state of a finding, and who set it. */
export interface FindingState {
  state: State;
  /** what was given with the decision; '' without one */
  reason: string;
  /** who decided; '' while nobody has */
  by: string;
  /** when; null while nobody has decided */
  at: string | null;
}

/** A page of findings; by default those with the highest cost for users first. */
export interface Findings {
  findings: Finding[];
  total: number;
  since_ns: number;
  until_ns: number;
  sparkline_step_ns: number;
}

/** Format of an exported trace. */
export type Form = "otlp-json" | "chrome";

/** One step of the overview's series. */
export interface HealthPoint {
  time_ns: number;
  requests: number;
  errors: number;
  hops: number;
  loop_blocked_ns: number;
  /** null where no loop was watched */
  loop_blocked_share: number | null;
  wait_ns: number;
  wait_p95_ns: number;
  shared_waits: number;
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

/** Crossings at one call site, from the received spans. */
export interface HopSite {
  service: string;
  /** the function that crossed */
  function: string;
  call_site: CallSite;
  route: string;
  /** thread role */
  executor: string;
  /** dotted path, where a middleware's adaptation made the hop; else '' */
  middleware: string;
  calls: number;
  wait_ns: number;
  run_ns: number;
  resume_ns: number;
  /** wait and resume delay, of calls of a request that wait side by side each instant once */
  overhead_ns: number;
}

/** Routes and call sites by what crossing cost, the most first. */
export interface Hops {
  routes: RouteHops[];
  routes_total: number;
  sites: HopSite[];
  sites_total: number;
}

/** A thread of a process, with what ran on it and what waited for it. */
export interface Lane {
  /** service and instance: shop/7f3a */
  process: string;
  /** a thread role; '' where the spans do not say */
  role: string;
  /** the thread's name; '' if it is not known */
  thread: string;
  /** the executor of calls that no thread is known to have taken; else '' */
  queue: string;
  rows: number;
  /** by start; a span stands below the one it happened in */
  bars: Bar[];
  /** in which nothing else could run on the lane's event loop */
  stalls: Stretch[];
  /** in which calls had returned and waited for the lane's event loop */
  resumes: Stretch[];
}

/** One middleware of a chain; the last layer is view. */
export interface Layer {
  name: string;
  /** async, sync or both: what it is capable of */
  mode: string;
  /** what Django put around it: '', sync_to_async or async_to_sync */
  adapted: string;
  /** crossings that its adaptation costs each request */
  hops: number;
  /** crossings that its own process_request and other hooks make, a request on average */
  hook_hops: number;
  /** of its adaptation, of the spans that were sent, and of its hooks, of all that is counted */
  calls: number;
  wait_ns: number;
  resume_ns: number;
}

/** Current waits, the longest first. */
export interface Live {
  now_ns: number;
  /** start of the newest span that is stored; null without any */
  newest_ns: number | null;
  waiting: Waiting[];
  truncated: boolean;
}

/** A call that holds what another one waits for. */
export interface LiveHolder {
  function: string;
  call_site: CallSite;
  route: string;
  /** the database query that it is at, without literals; '' where there is none */
  query: string;
  trace_id: string;
}

/** A maintenance window of the rules file. */
export interface MaintenanceState {
  name: string;
  days: string[];
  start: string;
  end: string;
  timezone: string;
  matchers: Matcher[];
  open: boolean;
}

/** A silence mutes the alerts that match all of its matchers. */
export interface Matcher {
  name: string;
  value: string;
}

/** A column of the matrix: a call that held a thread. */
export interface MatrixHolder {
  function: string;
  call_site: CallSite;
  overlap_ns: number;
}

/** A metric that a service sends; metrics of one name that differ in kind, unit or temporality are separate. */
export interface Metric {
  name: string;
  kind: "gauge" | "sum" | "histogram" | "exponential_histogram" | "summary";
  /** as sent: UCUM */
  unit: string;
  description: string;
  temporality: "unspecified" | "delta" | "cumulative";
  monotonic: boolean;
  services: string[];
  /** keys that its points carry, at most 100 */
  attributes: string[];
  points: number;
  last_seen: string;
}

/** A metric over a range. */
export interface MetricDetail {
  name: string;
  kind: "gauge" | "sum" | "histogram" | "exponential_histogram" | "summary";
  /** as sent: UCUM */
  unit: string;
  description: string;
  temporality: "unspecified" | "delta" | "cumulative";
  monotonic: boolean;
  services: string[];
  /** keys that its points carry, at most 100 */
  attributes: string[];
  points: number;
  last_seen: string;
  step_ns: number;
  /** those with the most points first */
  series: MetricSeries[];
  /** there are more series than are shown */
  truncated: boolean;
}

/** One step of a series. A value that the kind does not have, or that was not sent, is null. */
export interface MetricPoint {
  time_ns: number;
  /** of a gauge or a sum that may fall: the mean; of a sum that only grows: what it grew by; of a histogram or summary: the mean of what was observed */
  value: number | null;
  /** of a gauge or sum: points sent; else what was observed */
  count: number;
  min: number | null;
  max: number | null;
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

/** The points of one value of the by attribute; '' without one. */
export interface MetricSeries {
  group: string;
  points: MetricPoint[];
}

/** A page of metrics, by name. */
export interface Metrics {
  metrics: Metric[];
  total: number;
}

/** A page of the services' chains, by service and environment. */
export interface Middleware {
  chains: Chain[];
  total: number;
}

/** A function on the shared thread. */
export interface Occupant {
  function: string;
  call_site: CallSite;
  service: string;
  busy_ns: number;
  calls: number;
}

/** Use of asgiref's shared threads over time, over all processes. */
export interface Occupation {
  step_ns: number;
  /** time of one step that these threads have: the step times the processes */
  thread_ns: number;
  occupants: Occupant[];
  steps: OccupationStep[];
}

/** One step of the chart. A call counts in the step in which it was submitted. */
export interface OccupationStep {
  time_ns: number;
  busy_ns: number;
  wait_ns: number;
  calls: number;
  /** busy time of each of occupants, in their order; the rest is of others */
  by: number[];
}

/** Health of the services, and their worst findings. */
export interface Overview {
  since_ns: number;
  until_ns: number;
  step_ns: number;
  services: ServiceHealth[];
  series: HealthPoint[];
  /** those that cost users most, of the open and the regressed ones */
  findings: Finding[];
  findings_total: number;
  releases: ReleaseMarker[];
}

/** A part of the critical path: shortening it ends the request earlier. */
export interface PathStep {
  span_id: string;
  start_ns: number;
  duration_ns: number;
  /** of a bridge call: its queue wait, its run time, its resume delay; else run */
  part: "wait" | "run" | "resume";
}

/** One step of a time series. */
export interface Point {
  time_ns: number;
  requests: number;
  count: number;
  total_ns: number;
}

/** The pools of a service's processes with the same number of workers. */
export interface Pool {
  service: string;
  /** of one process; 0 where it is not known */
  workers: number;
  processes: number;
  calls: number;
  queued: number;
  run_ns: number;
  wait_ns: number;
  wait_p50_ns: number;
  wait_p95_ns: number;
  longest_ns: number;
  /** run time / (workers x processes x time seen), 0 to 1 */
  saturation: number;
  /** calls that waited because every worker was busy */
  starved: number;
  finding_ids: string[];
  /** the most run time first */
  users: PoolUser[];
  /** what occupied the workers while calls waited */
  filled_by: Holder[];
  series: PoolPoint[];
}

/** One step of a pool's series. */
export interface PoolPoint {
  time_ns: number;
  calls: number;
  run_ns: number;
  wait_ns: number;
  saturation: number;
}

/** A function that ran in a pool. */
export interface PoolUser {
  function: string;
  call_site: CallSite;
  calls: number;
  run_ns: number;
  wait_ns: number;
  /** of the run time of all that ran there, 0 to 1 */
  share: number;
}

/** A page of thread pools, the longest waits first. */
export interface Pools {
  step_ns: number;
  pools: Pool[];
  total: number;
}

/** An error: what went wrong and what to do. */
export interface Problem {
  error: string;
  hint: string;
}

/** A receiver of the rules file; its address without path and secrets. */
export interface ReceiverState {
  name: string;
  type: string;
  target: string;
  pending: number;
  last_delivered_at: string;
  last_error: string;
  /** why it cannot be sent to (a secret that is missing, ...), or '' */
  error: string;
}

/** Every receiver. */
export interface Receivers {
  receivers: ReceiverState[];
}

/** Refusals of one call site. */
export interface Refusal {
  finding_id: string;
  service: string;
  call_site: CallSite;
  operation: string;
  /** what led there, outermost first */
  chain: string[];
  routes: string[];
  count: number;
  /** requests in which it happened */
  requests: number;
  first_seen: string;
  last_seen: string;
  /** never seen before the range, as far as is stored */
  new: boolean;
  trace_ids: string[];
  /** the advice's title; the finding has the whole */
  advice: string;
}

/** A page of refusals, the most frequent first. */
export interface Refusals {
  step_ns: number;
  refusals: Refusal[];
  total: number;
  series: Point[];
}

/** A version of a service in an environment. */
export interface Release {
  service: string;
  environment: string;
  /** '' where the service sends none */
  version: string;
  first_seen: string;
  last_seen: string;
  requests: number;
}

/** The first appearance of a version of a service. */
export interface ReleaseMarker {
  service: string;
  environment: string;
  version: string;
  time_ns: number;
}

/** Versions seen in the range, the newest first. */
export interface Releases {
  releases: Release[];
  total: number;
}

/** Requests by the class of the response's HTTP status code (RFC 9110, section 15). */
export interface Responses {
  /** 1xx */
  informational: number;
  /** 2xx */
  successful: number;
  /** 3xx */
  redirection: number;
  /** 4xx */
  client_error: number;
  /** 5xx */
  server_error: number;
  /** no answer began: the client left, or an exception ended the request */
  unanswered: number;
  /** requests of an asgiscope that sent no classes */
  unknown: number;
}

/** Calls by the role of the thread they queued for. */
export interface RoleWaits {
  /** thread role: shared, request, parent or pool */
  executor: string;
  calls: number;
  /** of these, the calls that waited a millisecond or longer */
  queued: number;
  wait_ns: number;
  run_ns: number;
  wait_p50_ns: number;
  wait_p95_ns: number;
  wait_p99_ns: number;
  longest_ns: number;
  /** from tallies of every call, not from the spans that were sent */
  exact: boolean;
}

/** The cost of a problem on one route; '' is work outside any request. */
export interface RouteCost {
  route: string;
  count: number;
  total_ns: number;
  victims: Victims;
}

/** Crossings of one route's requests. */
export interface RouteHops {
  service: string;
  route: string;
  requests: number;
  errors: number;
  responses: Responses;
  hops: number;
  hops_per_request: number;
  wait_ns: number;
  resume_ns: number;
  run_ns: number;
  /** what the requests lost to hops, each instant of a request once: never above their durations */
  overhead_ns: number;
  queries: number;
  duration_p95_ns: number;
  /** from tallies of every request, not from the spans that were sent */
  exact: boolean;
}

/** How much of each side's requests went to a route. */
export interface RouteTraffic {
  service: string;
  route: string;
  base_requests: number;
  requests: number;
  base_share: number;
  share: number;
  base_duration_p95_ns: number;
  duration_p95_ns: number;
}

/** A rule, its values over the range, and its alerts in the range. */
export interface RuleDetail {
  name: string;
  /** the condition in a sentence */
  description: string;
  /** of the condition */
  type: string;
  unit: Unit;
  threshold: number;
  /** the condition holds below the threshold, not above it */
  below: boolean;
  /** 0 for a condition that has none */
  window_ns: number;
  for_ns: number;
  severity: Severity;
  scope: Record<string, string[]>;
  receivers: string[];
  builtin: boolean;
  state: AlertState;
  firing: number;
  pending: number;
  /** the highest of its series now; null where nothing is known */
  value: number | null;
  value_text: string;
  /** why it could not be evaluated, or '' */
  error: string;
  /** the last minutes, oldest first */
  history: RulePoint[];
  alerts: Alert[];
}

/** The highest value of a rule's series (for free disk space: the lowest) in the window that ended then. */
export interface RulePoint {
  time_ns: number;
  value: number | null;
}

/** A rule and its current state. */
export interface RuleState {
  name: string;
  /** the condition in a sentence */
  description: string;
  /** of the condition */
  type: string;
  unit: Unit;
  threshold: number;
  /** the condition holds below the threshold, not above it */
  below: boolean;
  /** 0 for a condition that has none */
  window_ns: number;
  for_ns: number;
  severity: Severity;
  scope: Record<string, string[]>;
  receivers: string[];
  builtin: boolean;
  state: AlertState;
  firing: number;
  pending: number;
  /** the highest of its series now; null where nothing is known */
  value: number | null;
  value_text: string;
  /** why it could not be evaluated, or '' */
  error: string;
  /** the last minutes, oldest first */
  history: RulePoint[];
}

/** Every active rule. */
export interface Rules {
  rules: RuleState[];
}

/** A service instance whose clock is wrong. Its spans keep its times. */
export interface SenderClock {
  service: string;
  environment: string;
  /** '' where it does not say */
  host: string;
  instance: string;
  /** its clock less the collector's, as measured when its newest data came; what is negative has the way here in it */
  offset_ns: number;
  /** the newest time that it sent, by its own clock */
  newest_ns: number;
  /** when that came, by the collector's clock */
  received_ns: number;
}

/** Health of one service over the requested range. */
export interface ServiceHealth {
  service: string;
  requests: number;
  requests_per_second: number;
  errors: number;
  responses: Responses;
  duration_p50_ns: number;
  duration_p95_ns: number;
  loop_blocked_ns: number;
  /** blocked time / time the loops were watched, 0 to 1; overlapping stalls counted once each; null where no loop was watched */
  loop_blocked_share: number | null;
  longest_stall_ns: number;
  processes: number;
  /** bridge calls and calls to pools */
  calls: number;
  /** of these, the calls that waited a millisecond or longer */
  queued: number;
  wait_ns: number;
  wait_p50_ns: number;
  wait_p95_ns: number;
  wait_p99_ns: number;
  /** calls that waited a millisecond or longer for asgiref's shared thread */
  shared_waits: number;
  refusals: number;
  /** null where asgiscope does not run in the service */
  hops_per_request: number | null;
  /** whether asgiscope runs in the service; for others, blocked loops, waiting calls and refusals are unknown */
  watched: boolean;
  /** true: requests, waits, hops and shares come from tallies of everything that happened; false: from the spans that were sent, so they are low where traces are sampled */
  exact: boolean;
  environments: string[];
  /** newest first */
  versions: string[];
  last_seen: string;
}

/** Values for the filters: names seen in the range. */
export interface Services {
  services: string[];
  /** '' where a service sends none */
  environments: string[];
  versions: string[];
  /** there are more than 5,000 names of one of these: not all are listed */
  truncated: boolean;
}

/** Who is signed in, and which ways to sign in there are. */
export interface Session {
  /** '' for nobody */
  user: string;
  /** by name and password */
  password: boolean;
  /** with an identity provider */
  oidc: boolean;
  /** whether the collector asks at all */
  required: boolean;
}

/** Severities of PagerDuty, which other systems also use. */
export type Severity = "info" | "warning" | "error" | "critical";

/** Where the time of a trace's root went; each instant counts once, so the parts add up to the root. */
export interface Shares {
  total_ns: number;
  /** its own code blocked the event loop */
  blocking_ns: number;
  query_ns: number;
  /** functions ran on threads, outside of queries */
  run_ns: number;
  /** others blocked the event loop */
  stalled_ns: number;
  /** calls waited in a queue */
  wait_ns: number;
  /** results waited for the event loop */
  resume_ns: number;
  other_ns: number;
}

/** One of the two sides of a comparison. */
export interface Side {
  /** '' where all versions of the period are taken together */
  version: string;
  since_ns: number;
  until_ns: number;
  requests: number;
  requests_per_second: number;
  errors: number;
  error_share: number;
  responses: Responses;
  duration_p50_ns: number;
  duration_p95_ns: number;
  /** null where asgiscope did not run */
  hops_per_request: number | null;
  wait_p95_ns: number;
  /** null where no loop was watched */
  loop_blocked_share: number | null;
  refusals: number;
}

/** A recorded silence. */
export interface Silence {
  id: string;
  matchers: Matcher[];
  state: SilenceState;
  starts_at: string;
  starts_ns: number;
  ends_at: string;
  ends_ns: number;
  comment: string;
  created_by: string;
  /** alerts that fire and are muted by it now */
  muting: number;
}

/** A silence to create. It must have an end. */
export interface SilenceRequest {
  matchers: Matcher[];
  /** now, if it is 0 */
  starts_ns?: number;
  duration_ns: number;
  comment?: string;
}

/** State of a silence. */
export type SilenceState = "pending" | "active" | "expired";

/** Silences, the active ones first, and the maintenance windows. */
export interface Silences {
  silences: Silence[];
  maintenance: MaintenanceState[];
}

/** Lines of source around a call site, as read by the instrumented process. */
export interface SourceContext {
  /** which line of the file the first of lines is */
  first_line: number;
  /** the call site's, as the span with these lines had it */
  line: number;
  lines: string[];
}

/** One span. Attribute values are strings, as stored, except the numbers and booleans of semconv. */
export interface Span {
  trace_id: string;
  span_id: string;
  parent_span_id: string;
  name: string;
  kind: string;
  category: Category;
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

/** An event of a span. */
export interface SpanEvent {
  time_ns: number;
  name: string;
  attributes: Record<string, Json>;
}

/** A link from one span to another, possibly in another trace. */
export interface SpanLink {
  trace_id: string;
  span_id: string;
  attributes: Record<string, Json>;
}

/** State of a finding. */
export type State = "open" | "resolved" | "regressed" | "ignored";

/** How requests ended. */
export type StatusInput = "ok" | "error";

/** The collector's own status. Sizes are in bytes. */
export interface StatusOutput {
  ready: boolean;
  /** why it is not ready, or '' */
  reason: string;
  /** whether what is sent is taken; false when the disk is nearly full */
  accepting: boolean;
  refusing_because: string;
  /** accepted and not stored yet */
  spool_bytes: number;
  spool_max_bytes: number;
  disk_free_bytes: number;
  disk_total_bytes: number;
  /** with less, what is sent is refused with 503 */
  disk_min_free_bytes: number;
  disk_low: boolean;
  /** embedded, server or cluster */
  store: string;
  /** as of the last minute */
  stored_bytes: number;
  /** the first day of which spans are kept; '' if there is none */
  stored_since: string;
  retention_days: number;
  rollup_retention_days: number;
  /** 0: no limit */
  retention_bytes: number;
  /** routes, call sites and the like of the last minute with too many, which are summed as (other) */
  other_keys: Record<string, number>;
  /** instances that sent to this collector within a day and whose clocks are off, furthest first */
  clocks: SenderClock[];
  /** how many are off; at most 100 are listed */
  clocks_total: number;
}

/** A period of a lane that is not in any row. */
export interface Stretch {
  span: number;
  start_ns: number;
  duration_ns: number;
}

/** What a thread is for, seen from asgiref. */
export type ThreadRole = "event_loop" | "request" | "context" | "shared" | "parent" | "pool" | "main" | "other";

/** The lanes of a trace, from the top of a page down. */
export interface Timeline {
  /** when the first span started, since the epoch */
  origin_ns: number;
  /** until the last one ended; linked_spans may lie outside */
  duration_ns: number;
  /** those of the root's process first; event loops before other threads */
  lanes: Lane[];
  /** whose holder is in this answer, the longest first; at most 20,000 */
  waits: Wait[];
}

/** A trace's spans, by start time, at most limit. */
export interface Trace {
  trace_id: string;
  spans: Span[];
  /** holders' and blockers' spans of other traces that this trace's spans link to, and the stalls of other traces that delayed this one */
  linked_spans: Span[];
  total: number;
  truncated: boolean;
  /** what shares and path are those of; '' for a trace without spans */
  root_span_id: string;
  shares: Shares;
  /** by time, without gaps, over the root's duration */
  critical_path: PathStep[];
  /** the spans and linked spans as lanes, one a thread */
  timeline: Timeline;
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

/** A page of traces; by default the newest first. */
export interface Traces {
  traces: TraceSummary[];
  /** pass as before_ns for the next page; null at the end, and where the order is not by time */
  next_before_ns: number | null;
}

/** Unit of a condition's value. */
export type Unit = "share" | "ns" | "count" | "ratio";

/** The application object that did the work, if the call site alone does not identify it. */
export interface UserObject {
  /** view, middleware, operation, field, serializer, consumer, receiver, ... */
  kind: string;
  /** dotted name */
  name: string;
}

/** How a finding changed from the first side to the second. */
export type Verdict = "new" | "worse" | "better" | "gone" | "same";

/** Requests of one route that the finding delayed. */
export interface VictimRoute {
  route: string;
  count: number;
  total_ns: number;
  /** evidence: the request that lost most; '' if unknown */
  trace_id: string;
}

/** Requests that a finding delayed or failed, and separately messages of consumers and background tasks. */
export interface Victims {
  requests: number;
  /** time that the requests lost */
  total_ns: number;
  /** messages of WebSocket consumers */
  messages: number;
  /** background tasks */
  tasks: number;
  /** time that the messages and tasks lost */
  background_ns: number;
}

/** A bridge call that waited for another one: the part of its wait in which that one held the thread. */
export interface Wait {
  /** index of the span, as in Bar */
  waiter: number;
  holder: number;
  start_ns: number;
  duration_ns: number;
  /** as the process measured it; clocks of two processes may differ */
  overlap_ns: number;
}

/** A row of the matrix: calls that waited, by finding. */
export interface Waiter {
  finding_id: string;
  service: string;
  /** the function that was called */
  function: string;
  call_site: CallSite;
  wait_ns: number;
  count: number;
}

/** A wait or stall that was reported while it lasts, and has not ended as far as known. */
export interface Waiting {
  /** null for a request that has awaited something for long: it may be long polling, no finding */
  kind: FindingKind | null;
  /** '' where kind is null */
  finding_id: string;
  service: string;
  environment: string;
  /** the call that waits, or what blocks, or the view of the request */
  function: string;
  call_site: CallSite;
  route: string;
  /** thread role; '' for a blocked loop */
  executor: string;
  since_ns: number;
  /** how long it had lasted when it was last reported */
  reported_ns: number;
  holders: LiveHolder[];
  trace_id: string;
  span_id: string;
}

/** State of a delivery. */
export type ModelsOutcome = "pending" | "delivered" | "refused" | "abandoned";

/** Order of the list. */
export type FindingsSort = "impact" | "total" | "count" | "p95" | "max" | "victims" | "last_seen" | "first_seen";

/** Order of the list. */
export type TracesSort = "newest" | "slowest" | "wait";

/** Outcome of a finding's newest refusal. */
export interface FindingsOutcome {
  /** the error did not reach Django's handler: it failed no request */
  caught: boolean;
  /** what its request answered; 0 where it has not answered */
  status: number;
}

/** Method and path below /api/: what each takes, and what it answers. */
export interface Endpoints {
  "GET status": {
    query: object;
    body: undefined;
    answer: StatusOutput;
  };
  "GET overview": {
    query: {
      service?: string;
      environment?: string;
      version?: string;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Overview;
  };
  "GET findings": {
    query: {
      kind?: FindingKind[];
      state?: State[];
      route?: string;
      site?: string;
      q?: string;
      sort?: FindingsSort;
      limit?: number;
      offset?: number;
      service?: string;
      environment?: string;
      version?: string;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Findings;
  };
  "GET findings/{finding_id}": {
    query: {
      service?: string;
      environment?: string;
      version?: string;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: FindingDetail;
  };
  "POST findings/{finding_id}/state": {
    query: object;
    body: Decide;
    answer: FindingState;
  };
  "GET blocking": {
    query: {
      route?: string;
      limit?: number;
      offset?: number;
      service?: string;
      environment?: string;
      version?: string;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Blocking;
  };
  "GET contention": {
    query: {
      executor?: ThreadRole;
      limit?: number;
      service?: string;
      environment?: string;
      version?: string;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Contention;
  };
  "GET pools": {
    query: {
      limit?: number;
      offset?: number;
      service?: string;
      environment?: string;
      version?: string;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Pools;
  };
  "GET refusals": {
    query: {
      route?: string;
      limit?: number;
      offset?: number;
      service?: string;
      environment?: string;
      version?: string;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Refusals;
  };
  "GET hops": {
    query: {
      route?: string;
      limit?: number;
      offset?: number;
      service?: string;
      environment?: string;
      version?: string;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Hops;
  };
  "GET middleware": {
    query: {
      limit?: number;
      offset?: number;
      service?: string;
      environment?: string;
      version?: string;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Middleware;
  };
  "GET traces": {
    query: {
      route?: string;
      method?: string;
      status?: StatusInput;
      status_code?: number;
      min_duration_ns?: number;
      max_duration_ns?: number;
      finding?: string;
      site?: string;
      sort?: TracesSort;
      before_ns?: number;
      limit?: number;
      service?: string;
      environment?: string;
      version?: string;
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
  "GET traces/{trace_id}/export": {
    query: {
      format?: Form;
    };
    body: undefined;
    answer: Json;
  };
  "GET releases": {
    query: {
      limit?: number;
      offset?: number;
      service?: string;
      environment?: string;
      version?: string;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Releases;
  };
  "GET releases/compare": {
    query: {
      base_version?: string;
      base_since?: string;
      base_until?: string;
      limit?: number;
      service?: string;
      environment?: string;
      version?: string;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Comparison;
  };
  "GET live/now": {
    query: {
      service?: string;
      environment?: string;
      version?: string;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Live;
  };
  "GET live": {
    query: {
      service?: string;
      environment?: string;
    };
    body: undefined;
    answer: undefined;
  };
  "GET services": {
    query: {
      service?: string;
      environment?: string;
      version?: string;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Services;
  };
  "GET metrics": {
    query: {
      search?: string;
      limit?: number;
      offset?: number;
      service?: string;
      environment?: string;
      version?: string;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Metrics;
  };
  "GET metrics/series": {
    query: {
      name: string;
      attribute?: string[];
      by?: string;
      service?: string;
      environment?: string;
      version?: string;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: MetricDetail;
  };
  "GET alerts": {
    query: {
      rule?: string;
      service?: string;
      limit?: number;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Alerts;
  };
  "GET alerts/status": {
    query: object;
    body: undefined;
    answer: AlertStatus;
  };
  "GET alerts/schema.json": {
    query: object;
    body: undefined;
    answer: Record<string, Json>;
  };
  "GET alerts/rules": {
    query: object;
    body: undefined;
    answer: Rules;
  };
  "GET alerts/rules/{name}": {
    query: {
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: RuleDetail;
  };
  "GET alerts/silences": {
    query: object;
    body: undefined;
    answer: Silences;
  };
  "POST alerts/silences": {
    query: object;
    body: SilenceRequest;
    answer: Silence;
  };
  "DELETE alerts/silences/{silence_id}": {
    query: object;
    body: undefined;
    answer: Silence;
  };
  "GET alerts/deliveries": {
    query: {
      receiver?: string;
      alert?: string;
      limit?: number;
      since?: string;
      until?: string;
    };
    body: undefined;
    answer: Deliveries;
  };
  "GET alerts/receivers": {
    query: object;
    body: undefined;
    answer: Receivers;
  };
  "POST alerts/receivers/{name}/test": {
    query: object;
    body: undefined;
    answer: Delivery;
  };
  "GET session": {
    query: object;
    body: undefined;
    answer: Session;
  };
  "POST session": {
    query: object;
    body: Credentials;
    answer: Json;
  };
  "DELETE session": {
    query: object;
    body: undefined;
    answer: undefined;
  };
  "POST delete": {
    query: object;
    body: Delete;
    answer: Deletion;
  };
}
