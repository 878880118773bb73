/** Asks who is there, where the collector wants to know. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { providerOffered, SESSION_PATH, signIn } from "../api/session";
import { text } from "../text";

const words = text.signIn;

export function SignIn(): JSX.Element {
  const [slip, setSlip] = useState("");
  const [busy, setBusy] = useState(false);
  const [provider, setProvider] = useState(false);
  useEffect(() => {
    providerOffered().then(setProvider, (error: unknown) => console.error(error));
  }, []);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    setSlip("");
    try {
      if (!(await signIn(String(given.get("name")), String(given.get("password"))))) setSlip(words.wrong);
    } catch (error) {
      console.error(error);
      setSlip(text.api.silent);
    }
    setBusy(false);
  };
  return (
    <form class="sign-in" onSubmit={(event) => void submit(event)}>
      <h1>{words.title}</h1>
      <p class="muted">{words.why}</p>
      <label>
        {words.name}
        <input name="name" autocomplete="username" required autofocus />
      </label>
      <label>
        {words.password}
        <input name="password" type="password" autocomplete="current-password" required />
      </label>
      <p role="alert" class="slip">{slip}</p>
      <button type="submit" class="primary" disabled={busy}>{busy ? words.busy : words.submit}</button>
      {provider && <a href={`${SESSION_PATH}/oidc`}>{words.sso}</a>}
      <p class="muted small">{words.tokens}</p>
    </form>
  );
}
