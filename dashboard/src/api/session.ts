/** Whether the collector asks who is there. It says so by answering 401; a collector without a login never does. */

import { signal } from "@preact/signals";

/** Where somebody signs in, relative to the page. */
export const SESSION_PATH = "api/session";

export const signInNeeded = signal(false);

/** Sign in; answers whether the collector took it. Rejects where it cannot be reached. */
export async function signIn(name: string, password: string): Promise<boolean> {
  const response = await fetch(SESSION_PATH, {
    method: "POST",
    headers: { accept: "application/json", "content-type": "application/json" },
    body: JSON.stringify({ name, password }),
  });
  if (response.ok) signInNeeded.value = false;
  else if (response.status !== 401 && response.status !== 403) throw new Error(`${response.status} ${response.statusText}`);
  return response.ok;
}

/** Whether an identity provider may vouch instead; false where that cannot be found out. */
export async function providerOffered(): Promise<boolean> {
  const response = await fetch(SESSION_PATH, { headers: { accept: "application/json" } });
  return response.ok && ((await response.json()) as { oidc?: unknown }).oidc === true;
}
