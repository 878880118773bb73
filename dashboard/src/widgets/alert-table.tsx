/** Alerts as a table: what, how severe, since when, and links. */

import type { JSX } from "preact";
import type { Alert, AlertState, Severity } from "../api/types";
import { matchersOf, ownNotes, writeMatchers } from "../model/alerting";
import { duration } from "../model/format";
import { roleName } from "../model/kinds";
import { text } from "../text";
import { Icon } from "./icon";
import { linkTo } from "./location";
import { Prose } from "./rich";
import { AgoText, Cell, TraceLink } from "./atoms";

const words = text.alerts;

export function AlertStateMark({ state }: { state: AlertState }): JSX.Element {
  return (
    <span class={`alert-state alert-${state}`}>
      <Icon name={state} />
      {words.states[state]}
    </span>
  );
}

export function SeverityMark({ severity }: { severity: Severity }): JSX.Element {
  return <span class={`tag severity-${severity}`}>{words.severities[severity]}</span>;
}

export function AlertTable({ alerts }: { alerts: readonly Alert[] }): JSX.Element {
  return (
    <div class="table-box">
      <table class="cards alert-table">
        <caption class="sr-only">{words.title}</caption>
        <thead>
          <tr>
            <th scope="col">{words.columns.state}</th>
            <th scope="col">{words.columns.alert}</th>
            <th scope="col">{words.columns.severity}</th>
            <th scope="col" class="num">{words.columns.value}</th>
            <th scope="col" class="num">{words.columns.since}</th>
            <th scope="col" class="num">{words.columns.lasted}</th>
          </tr>
        </thead>
        <tbody>
          {alerts.map((alert) => (
            <AlertRow key={alert.id} alert={alert} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

const TEXTS = ["impact", "held", "advice"] as const;

function AlertRow({ alert }: { alert: Alert }): JSX.Element {
  const { annotations: notes } = alert;
  const said = { impact: notes["impact"], held: notes["held_by"], advice: notes["advice"] };
  const lasted = alert.ends_ns > 0 ? duration(alert.ends_ns - alert.starts_ns) : "";
  return (
    <tr>
      <td class="wide" data-label={words.columns.state}>
        <AlertStateMark state={alert.state} />
      </td>
      <th scope="row" class="what">
        <b>
          <Prose text={notes["summary"] ?? alert.rule} />
        </b>
        {alert.muted_by.length > 0 && <span class="tag">{words.mutedBy(alert.muted_by.join(", "))}</span>}
        <div class="small muted">{whereText(alert)}</div>
        {TEXTS.map((name) => {
          const note = said[name] ?? "";
          return note !== "" && (
            <div key={name} class="small">
              <span class="muted">{words[name]}</span>
              <Prose text={note} />
            </div>
          );
        })}
        {ownNotes(alert).map(({ name, text, host }) => (
          <div key={name} class="small">
            <span class="muted">{words.note(name)}</span>
            {host === "" ? text : <a href={text} target="_blank" rel="noopener noreferrer">{host}</a>}
          </div>
        ))}
        <div class="links small">
          {alert.finding_id !== "" && <a href={linkTo("finding", alert.finding_id)}>{words.toFinding}</a>}
          <TraceOf url={notes["trace_url"] ?? ""} />
          <a href={linkTo("alerts", "", { tab: "rules", rule: alert.rule })}>
            {words.toRule} {alert.rule}
          </a>
          <a href={linkTo("alerts", "", { tab: "deliveries", alert: alert.id })}>{words.toDeliveries}</a>
          <a href={linkTo("alerts", "", { tab: "silences", mute: writeMatchers(matchersOf(alert)) })}>{words.silence}</a>
        </div>
      </th>
      <td class="wide" data-label={words.columns.severity}>
        <SeverityMark severity={alert.severity} />
      </td>
      <Cell label={words.columns.value} text={alert.value_text}>
        {alert.fired_value_text !== alert.value_text && (
          <div class="small muted">{words.atFiring(alert.fired_value_text)}</div>
        )}
      </Cell>
      <td class="num nowrap" data-label={words.columns.since}>
        <AgoText at={alert.starts_at} />
      </td>
      <Cell label={words.columns.lasted} text={lasted} />
    </tr>
  );
}

/** Thread role, route, environment: what distinguishes alerts of one rule. */
function whereText({ labels }: Alert): string {
  const role = labels["executor"] ?? "";
  const parts = [role === "" ? "" : roleName(role), labels["route"] ?? "", labels["environment"] ?? ""];
  return parts.filter((part) => part !== "").join(" · ");
}

/** The collector's URL has its own host name; only the trace's id is used. */
function TraceOf({ url }: { url: string }): JSX.Element | null {
  const id = /\/traces\/([0-9a-f]{32})$/u.exec(url)?.[1];
  return id === undefined ? null : <TraceLink id={id}>{words.toTrace}</TraceLink>;
}

