/** Warnings about the collector's own store. */

import type { StatusOutput } from "../api/types";
import { text } from "../text";
import { bytes, percent } from "./format";

/** Share of the spool's limit above which the store does not keep up. */
const SPOOL_WARN = 0.25;

export function storeWarnings(status: StatusOutput): string[] {
  const { disk_free_bytes: free, disk_total_bytes: total, spool_bytes: spooled, spool_max_bytes: most } = status;
  const said: string[] = [];
  if (!status.accepting) said.push(text.store.refusing(status.refusing_because));
  else if (status.disk_low) said.push(text.store.disk(bytes(free), bytes(total), bytes(status.disk_min_free_bytes)));
  if (most > 0 && spooled / most >= SPOOL_WARN) said.push(text.store.spool(bytes(spooled), percent(spooled / most)));
  return said;
}
