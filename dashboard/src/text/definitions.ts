/** What the figures mean. Made by dashboard/api_types.py from definitions.py: do not edit. */

export const definitions = {
  requests: "HTTP requests that ended in the range.",
  errors: "Requests that were answered with a status of 500 or above, or that an exception ended.",
  affected_requests: "Distinct requests that a finding delayed or failed: each counts once, however often it waited.",
  affected_background: "Distinct messages of WebSocket consumers and background tasks that a finding delayed; requests are not included.",
  time_lost: "How long the affected requests were delayed by a finding: each instant of a request once, so never more than the requests' durations.",
  occurrences: "How often a finding happened: ended spans with this finding.",
  hops: "Crossings between the event loop and a thread within requests: calls through sync_to_async and calls that are submitted to a thread pool.",
  hop_overhead: "Time that requests lost to hops: queue wait and resume delay, each instant of a request once, so never more than its duration.",
  loop_blocked: "The share of the watched time in which synchronous code prevented event loops from running anything else.",
  queue_wait: "From submitting a call to its executor until its function starts on a thread, or until it was given up.",
} as const;
