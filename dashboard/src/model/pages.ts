/** Pages of a list that grows at its start while it is read. */

import type { TraceSummary } from "../api/types";

/** Precision of an epoch time in a JSON number, ns. */
const EPOCH_STEP_NS = 256;

/**
 * The cursor for the page after `nextBeforeNs`. The number was rounded by up to half a step: request a step later, and
 * drop duplicates.
 */
export function olderThan(nextBeforeNs: number): number {
  return nextBeforeNs + EPOCH_STEP_NS;
}

/** The newest first, each trace once; of duplicates the first, which is from the newer response. */
export function withoutDoubles(traces: readonly TraceSummary[]): TraceSummary[] {
  const byId = new Map<string, TraceSummary>();
  for (const trace of traces) if (!byId.has(trace.trace_id)) byId.set(trace.trace_id, trace);
  return [...byId.values()].sort((a, b) => b.start_ns - a.start_ns || a.trace_id.localeCompare(b.trace_id));
}
