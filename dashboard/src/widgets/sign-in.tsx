/** The sign-in form, and signing out. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ApiError, ask, question, send } from "../api/client";
import { PROVIDER_PATH, signInNeeded } from "../api/session";
import type { Session } from "../api/types";
import { text } from "../text";

const words = text.signIn;

export function SignIn(): JSX.Element {
  const session = useSession();
  const [slip, setSlip] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    setSlip("");
    try {
      await send("POST session", { name: String(given.get("name")), password: String(given.get("password")) });
      signInNeeded.value = false;
    } catch (error) {
      setSlip(error instanceof ApiError ? `${error.message}: ${error.hint}` : String(error));
    }
    setBusy(false);
  };
  return (
    <form class="sign-in" onSubmit={(event) => void submit(event)}>
      <h1>{words.title}</h1>
      <p class="muted">{words.why}</p>
      {session?.oidc === true && <a class="provider" href={PROVIDER_PATH}>{words.provider}</a>}
      {session?.password !== false && (
        <>
          <label>
            {words.name}
            <input name="name" autocomplete="username" required autofocus maxLength={64} />
          </label>
          <label>
            {words.password}
            <input name="password" type="password" autocomplete="current-password" required maxLength={1024} />
          </label>
          <p role="alert" class="slip">{slip}</p>
          <button type="submit" class="primary" disabled={busy}>{busy ? words.busy : words.submit}</button>
          <p class="muted small">{words.forgotten}</p>
        </>
      )}
    </form>
  );
}

/** The session and the ways to sign in; null until the collector has answered. */
function useSession(): Session | null {
  const [session, setSession] = useState<Session | null>(null);
  const needed = signInNeeded.value;
  useEffect(() => {
    const closing = new AbortController();
    ask(question("GET session", {}), closing.signal).then(setSession, (error: unknown) => {
      // The page shows elsewhere that the collector does not answer; until it does, show the password form.
      if (!closing.signal.aborted) console.info("Who is signed in is not known.", error);
    });
    return () => closing.abort();
  }, [needed]);
  return session;
}

/** The signed-in user with a sign-out button; nothing if the collector has no login. */
export function SignedIn(): JSX.Element | null {
  const session = useSession();
  if (session === null || !session.required || session.user === "") return null;
  const signOut = async (): Promise<void> => {
    try {
      await send("DELETE session", undefined);
      signInNeeded.value = true;
    } catch (error) {
      console.error(error);
    }
  };
  return (
    <button type="button" class="quiet" title={words.as(session.user)} onClick={() => void signOut()}>
      {text.nav.signOut}
    </button>
  );
}
