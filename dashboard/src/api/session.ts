/** Whether the collector requires a sign-in: it then answers 401; a collector without a login never does. */

import { signal } from "@preact/signals";

/** Sign-in with the identity provider; a page of the collector, not an API endpoint. */
export const PROVIDER_PATH = "api/session/oidc";

export const signInNeeded = signal(false);
