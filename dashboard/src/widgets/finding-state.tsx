/** The state of a finding, and the buttons to decide. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ApiError, send } from "../api/client";
import type { Decision, FindingState, State } from "../api/types";
import { text } from "../text";
import { Icon } from "./icon";
import { Rich } from "./rich";
import { AgoText } from "./atoms";

const words = text.finding;

export function StateBadge({ state }: { state: State }): JSX.Element | null {
  if (state === "open") return null;
  return (
    <span class={`tag state-${state}`} title={words.stateMeanings[state]}>
      <Icon name={state} />
      {words.states[state]}
    </span>
  );
}

/** The current state, who set it, and the possible actions. `onChange` is called once a decision is stored. */
export function StateBox({ id, state, onChange }: { id: string; state: FindingState; onChange: () => void }): JSX.Element {
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState("");
  const decide = async (next: State, reason: string): Promise<void> => {
    setBusy(true);
    setFailure("");
    try {
      await send("POST findings/{finding_id}/state", { state: next, reason }, id);
      setAsking(false);
      onChange();
    } catch (error) {
      setFailure(error instanceof ApiError ? `${error.message} ${error.hint}` : String(error));
    }
    setBusy(false);
  };
  const settled = state.state === "resolved" || state.state === "ignored";
  return (
    <div class="state-box">
      <span class={`state-word state-${state.state}`} title={words.stateMeanings[state.state]}>
        <Icon name={state.state} />
        {words.states[state.state]}
      </span>
      {state.at !== null && (
        <span class="muted small">
          <Rich text={words.stateBy} by={state.by} at={<AgoText at={state.at} />} />
          {state.reason !== "" && ` ${words.stateReason(state.reason)}`}
        </span>
      )}
      {!settled && (
        <button type="button" class="primary" disabled={busy} title={words.resolveHint} onClick={() => void decide("resolved", "")}>
          {words.resolve}
        </button>
      )}
      {!settled && (
        <button type="button" disabled={busy} aria-expanded={asking} onClick={() => setAsking(!asking)}>
          {words.ignore}
        </button>
      )}
      {settled && (
        <button type="button" disabled={busy} onClick={() => void decide("open", "")}>
          {words.reopen}
        </button>
      )}
      {asking && <Reason busy={busy} onGive={(reason) => void decide("ignored", reason)} onCancel={() => setAsking(false)} />}
      {failure !== "" && <p role="alert" class="slip">{failure}</p>}
    </div>
  );
}

function Reason(props: { busy: boolean; onGive: (reason: string) => void; onCancel: () => void }): JSX.Element {
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const reason = String(new FormData(event.currentTarget as HTMLFormElement).get("reason") ?? "").trim();
    if (reason !== "") props.onGive(reason);
  };
  return (
    <form class="fields reason" onSubmit={submit}>
      <label>
        {words.reason}
        <input name="reason" required maxLength={1000} autofocus placeholder={words.reasonHint} />
      </label>
      <button type="submit" class="primary" disabled={props.busy}>{words.confirmIgnore}</button>
      <button type="button" onClick={props.onCancel}>{words.cancel}</button>
    </form>
  );
}

export function Decisions({ decisions }: { decisions: readonly Decision[] }): JSX.Element | null {
  if (decisions.length === 0) return null;
  return (
    <section>
      <h2>{words.history}</h2>
      <ul class="targets">
        {decisions.map(({ state, by, at, reason }) => (
          <li key={`${at} ${state}`}>
            <b>{words.states[state]}</b>{" "}
            <span class="muted">
              <Rich text={words.stateBy} by={by} at={<AgoText at={at} />} />
            </span>{" "}
            {reason !== "" && words.stateReason(reason)}
          </li>
        ))}
      </ul>
    </section>
  );
}
