/** Whether the collector itself is well: what it warns of, and why it cannot work where it cannot. */

import { ApiError, getJson } from "./client";

export interface Health {
  /** Why nothing can be stored or asked now; '' while it can. */
  reason: string;
  /** What will go wrong if nobody acts: a disk that fills, a rules file that cannot be read. */
  warnings: readonly string[];
}

const WELL: Health = { reason: "", warnings: [] };

/** What `/readyz` says. A collector that does not answer at all is told of elsewhere. */
export async function readHealth(signal: AbortSignal): Promise<Health> {
  try {
    const { warnings = [] } = (await getJson("readyz", signal)) as { warnings?: string[] };
    return { reason: "", warnings };
  } catch (error) {
    if (error instanceof ApiError) return error.status === 503 ? { reason: error.message, warnings: [] } : WELL;
    throw error;
  }
}
