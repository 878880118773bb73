/** Silences: a form to create one, and their list. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ApiError, question, send } from "../api/client";
import type { MaintenanceState, Matcher, Silence } from "../api/types";
import { readMatchers, silenceOf } from "../model/alerting";
import { plural } from "../model/format";
import { text } from "../text";
import { route, setParams } from "./location";
import { Shown } from "./states";
import { useLive } from "./use-live";
import { AgoText } from "./atoms";

const words = text.silences;
const NONE: Matcher = { name: "alertname", value: "" };

export function SilencesTab(): JSX.Element {
  const asked = useLive(question("GET alerts/silences", {}), true);
  return (
    <>
      <Make onMade={asked.refresh} />
      <Shown asked={asked} what={words.what}>
        {(data) => (
          <>
            {data.silences.length === 0 ? <p class="muted">{words.none}</p> : <List silences={data.silences} onEnd={asked.refresh} />}
            <Maintenance windows={data.maintenance} />
          </>
        )}
      </Shown>
    </>
  );
}

function Make({ onMade }: { onMade: () => void }): JSX.Element {
  const asked = readMatchers(route.value.params["mute"] ?? "");
  const [matchers, setMatchers] = useState<Matcher[]>(asked.length > 0 ? asked : [NONE]);
  const [length, setLength] = useState("4h");
  const [comment, setComment] = useState("");
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState("");
  const request = silenceOf(matchers, length, comment);
  const change = (at: number, next: Partial<Matcher>): void =>
    setMatchers(matchers.map((matcher, index) => (index === at ? { ...matcher, ...next } : matcher)));
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    if (request === null) return;
    setBusy(true);
    setFailure("");
    try {
      await send("POST alerts/silences", request);
      setMatchers([NONE]);
      setComment("");
      setParams({ mute: "" }, false);
      onMade();
    } catch (error) {
      setFailure(error instanceof ApiError ? `${error.message} ${error.hint}` : String(error));
    }
    setBusy(false);
  };
  return (
    <form class="fields silence-form" onSubmit={(event) => void submit(event)}>
      <h2>{words.make}</h2>
      <fieldset>
        <legend>{words.matcher}</legend>
        {matchers.map((matcher, index) => (
          <MatcherFields key={index} matcher={matcher} onChange={(next) => change(index, next)}
            onRemove={matchers.length > 1 ? () => setMatchers(matchers.filter((_, at) => at !== index)) : null} />
        ))}
        <button type="button" class="quiet" onClick={() => setMatchers([...matchers, { name: "service", value: "" }])}>
          + {words.add}
        </button>
      </fieldset>
      <label>
        {words.duration}
        <select value={length} onChange={(event) => setLength(event.currentTarget.value)}>
          {Object.entries(words.durations).map(([value, label]) => (
            <option key={value} value={value} selected={value === length}>{label}</option>
          ))}
        </select>
      </label>
      <label class="comment">
        {words.comment}
        <input value={comment} maxLength={1000} placeholder={words.commentHint} onInput={(event) => setComment(event.currentTarget.value)} />
      </label>
      <button type="submit" class="primary" disabled={busy || request === null}>{busy ? words.busy : words.submit}</button>
      {failure !== "" && <p role="alert" class="slip">{failure}</p>}
    </form>
  );
}

function MatcherFields(props: { matcher: Matcher; onChange: (next: Partial<Matcher>) => void; onRemove: (() => void) | null }): JSX.Element {
  const { name, value } = props.matcher;
  const names = words.labels.includes(name) ? words.labels : [...words.labels, name];
  return (
    <div class="matcher">
      <label>
        <span class="sr-only">{words.label}</span>
        <select value={name} onChange={(event) => props.onChange({ name: event.currentTarget.value })}>
          {names.map((each) => (
            <option key={each} value={each} selected={each === name}>{each}</option>
          ))}
        </select>
      </label>
      <span aria-hidden="true">=</span>
      <label class="matcher-value">
        <span class="sr-only">{words.value}</span>
        <input value={value} maxLength={500} placeholder={words.valueHint} spellcheck={false}
          onInput={(event) => props.onChange({ value: event.currentTarget.value })} />
      </label>
      {props.onRemove !== null && (
        <button type="button" class="icon-button" aria-label={words.remove} title={words.remove} onClick={props.onRemove}>✕</button>
      )}
    </div>
  );
}

function matchersText(matchers: readonly Matcher[]): string {
  return matchers.map(({ name, value }) => `${name}=${value}`).join(` ${words.and} `);
}

function List({ silences, onEnd }: { silences: readonly Silence[]; onEnd: () => void }): JSX.Element {
  return (
    <div class="table-box">
      <table class="cards silences">
        <caption class="sr-only">{text.alerts.tabs.silences}</caption>
        <thead>
          <tr>
            <th scope="col">{words.columns.what}</th>
            <th scope="col">{words.columns.state}</th>
            <th scope="col">{words.columns.until}</th>
            <th scope="col">{words.columns.by}</th>
            <th scope="col">{words.columns.why}</th>
            <td />
          </tr>
        </thead>
        <tbody>
          {silences.map((silence) => (
            <SilenceRow key={silence.id} silence={silence} onEnd={onEnd} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function SilenceRow({ silence, onEnd }: { silence: Silence; onEnd: () => void }): JSX.Element {
  const [failure, setFailure] = useState("");
  const end = async (): Promise<void> => {
    try {
      await send("DELETE alerts/silences/{silence_id}", undefined, silence.id);
      onEnd();
    } catch (error) {
      setFailure(error instanceof ApiError ? error.message : String(error));
    }
  };
  return (
    <tr class={silence.state === "expired" ? "muted" : ""}>
      <th scope="row" class="what">
        <code>{matchersText(silence.matchers)}</code>
        {silence.muting > 0 && <span class="tag">{words.muting(plural(silence.muting, ...text.nouns.alert))}</span>}
      </th>
      <td data-label={words.columns.state}>{words.states[silence.state]}</td>
      <td data-label={words.columns.until}>
        <AgoText at={silence.ends_at} />
      </td>
      <td data-label={words.columns.by}>{silence.created_by}</td>
      <td class="wide" data-label={words.columns.why}>{silence.comment || "–"}</td>
      <td class="wide">
        {silence.state !== "expired" && <button type="button" onClick={() => void end()}>{words.end}</button>}
        {failure !== "" && <span role="alert" class="slip">{failure}</span>}
      </td>
    </tr>
  );
}

function Maintenance({ windows }: { windows: readonly MaintenanceState[] }): JSX.Element | null {
  if (windows.length === 0) return null;
  return (
    <section>
      <h2>
        {words.maintenance} <small class="muted">{words.maintenanceNote}</small>
      </h2>
      <ul class="targets">
        {windows.map((each) => (
          <li key={each.name}>
            <b>{each.name}</b> {each.days.join(", ")} {each.start}–{each.end} {each.timezone} <code>{matchersText(each.matchers)}</code>{" "}
            <span class="tag">{each.open ? words.open : words.closed}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
