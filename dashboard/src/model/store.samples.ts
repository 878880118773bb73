/** Status of a healthy collector, for tests. */

import type { StatusOutput } from "../api/types";

export const GIB = 1024 ** 3;
export const WELL: StatusOutput = {
  ready: true, reason: "", accepting: true, refusing_because: "", spool_bytes: 0, spool_max_bytes: GIB / 2,
  disk_free_bytes: 50 * GIB, disk_total_bytes: 100 * GIB, disk_min_free_bytes: GIB, disk_low: false, store: "embedded",
  stored_bytes: GIB, stored_since: "", retention_days: 7, rollup_retention_days: 30, retention_bytes: 0,
  other_keys: {}, clocks: [], clocks_total: 0,
};
