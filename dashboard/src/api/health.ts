/** Whether the collector itself is well: what it warns of, and why it cannot work where it cannot. */

import { ApiError, ask, getJson, question } from "./client";
import type { StatusOutput } from "./schema";

export interface Health {
  /** Why nothing can be stored or asked now; '' while it can. */
  reason: string;
  /** What will go wrong if nobody acts: a disk that fills, a rules file that cannot be read. */
  warnings: readonly string[];
  /** Of the store, the spool and the disk; null where nothing can be asked. */
  status: StatusOutput | null;
}

/** What `/readyz` says. A collector that does not answer at all is told of elsewhere. */
export async function readHealth(signal: AbortSignal): Promise<Health> {
  try {
    const { warnings = [] } = (await getJson("readyz", signal)) as { warnings?: string[] };
    return { reason: "", warnings, status: await ask(question("GET status", {}), signal) };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { reason: error.status === 503 ? error.message : "", warnings: [], status: null };
  }
}
