/** Health of the collector itself: its warnings, and why it is not ready. */

import { ApiError, ask, getJson, question } from "./client";
import type { StatusOutput } from "./schema";

export interface Health {
  /** Why nothing can be stored or queried now; '' if it can. */
  reason: string;
  /** Problems that need action: a disk that fills, a rules file that cannot be read. */
  warnings: readonly string[];
  /** State of the store, the spool and the disk; null if it cannot be read. */
  status: StatusOutput | null;
}

/** The response of `/readyz`. A collector that does not answer at all is shown elsewhere. */
export async function readHealth(signal: AbortSignal): Promise<Health> {
  try {
    const { warnings = [] } = (await getJson("readyz", signal)) as { warnings?: string[] };
    return { reason: "", warnings, status: await ask(question("GET status", {}), signal) };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { reason: error.status === 503 ? error.message : "", warnings: [], status: null };
  }
}
