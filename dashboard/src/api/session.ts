/** Whether the collector asks who is there. It says so by answering 401; a collector without a login never does. */

import { signal } from "@preact/signals";

/** The identity provider's way in; a page of the collector, not an answer. */
export const PROVIDER_PATH = "api/session/oidc";

export const signInNeeded = signal(false);
