/** The alert rules: current value and limit, the last hour, and the details of one. */

import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { question } from "../api/client";
import type { RuleDetail, RuleState } from "../api/types";
import { isBeyond, scaleOf, valueText } from "../model/alerting";
import { count, duration } from "../model/format";
import { text } from "../text";
import { AlertStateMark, AlertTable, SeverityMark } from "./alert-table";
import { Chart } from "./chart";
import { linkTo, range, route } from "./location";
import { Prose } from "./rich";
import { Shown } from "./states";
import { useLive } from "./use-live";
import { Cell } from "./atoms";

const words = text.rules;

export function RulesTab(): JSX.Element {
  const name = route.value.params["rule"] ?? "";
  return name === "" ? <RuleList /> : <OneRule key={name} name={name} />;
}

function RuleList(): JSX.Element {
  const asked = useLive(question("GET alerts/rules", {}), true);
  return (
    <Shown asked={asked} what={words.what}>
      {(data) => (
        <div class="table-box">
          <table class="cards rules">
            <caption class="sr-only">{text.alerts.tabs.rules}</caption>
            <thead>
              <tr>
                <th scope="col">{words.columns.rule}</th>
                <th scope="col">{words.columns.state}</th>
                <th scope="col" class="num">{words.columns.now}</th>
                <th scope="col" class="num">{words.columns.limit}</th>
                <th scope="col">{words.columns.history}</th>
                <th scope="col">{words.columns.severity}</th>
                <th scope="col">{words.columns.receivers}</th>
              </tr>
            </thead>
            <tbody>
              {data.rules.map((rule) => (
                <RuleRow key={rule.name} rule={rule} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Shown>
  );
}

function RuleRow({ rule }: { rule: RuleState }): JSX.Element {
  return (
    <tr class="row-link">
      <th scope="row" class="what">
        <a href={linkTo("alerts", "", { tab: "rules", rule: rule.name })}>{rule.name}</a>
        {rule.builtin && <span class="tag">{words.builtin}</span>}
        <div class="sentence">{rule.description}</div>
        <Where rule={rule} />
        {rule.error !== "" && <p class="slip">{words.error(rule.error)}</p>}
      </th>
      <td class="wide" data-label={words.columns.state}>
        <AlertStateMark state={rule.state} />
        <div class="muted small">
          {[
            rule.firing > 0 ? words.firing(count(rule.firing)) : "",
            rule.pending > 0 ? words.pending(count(rule.pending)) : "",
          ].filter((part) => part !== "").join(", ")}
        </div>
      </td>
      <td class="num" data-label={words.columns.now}>
        {rule.value === null ? <span class="muted small">{words.unknown}</span> : <b>{rule.value_text || valueText(rule.value, rule.unit)}</b>}
      </td>
      <Cell label={words.columns.limit} text={valueText(rule.threshold, rule.unit)} />
      <td data-label={words.columns.history}>
        <History rule={rule} />
      </td>
      <td class="wide" data-label={words.columns.severity}>
        <SeverityMark severity={rule.severity} />
      </td>
      <td class="wide small" data-label={words.columns.receivers}>{rule.receivers.join(", ") || <span class="muted">{words.everyReceiver}</span>}</td>
    </tr>
  );
}

function Where({ rule }: { rule: RuleState }): JSX.Element {
  const parts = Object.entries(rule.scope).flatMap(([name, values]) => (values.length > 0 ? [words.scope(name, values.join(", "))] : []));
  const times = [rule.window_ns > 0 ? words.window(duration(rule.window_ns)) : "", rule.for_ns > 0 ? words.for(duration(rule.for_ns)) : ""];
  return <div class="muted small">{[...parts, ...times].filter((part) => part !== "").join(" · ")}</div>;
}

/** The values of the last hour; a dashed line is the limit. */
function History({ rule }: { rule: RuleState }): JSX.Element {
  const scale = scaleOf(rule);
  const highest = rule.history.reduce((most, { value }) => Math.max(most, value ?? 0), 0);
  const said = `${words.columns.history}: ${text.chart.label(rule.name, valueText(highest, rule.unit))}`;
  return (
    <span class="spark history" role="img" aria-label={said} title={said}>
      <span class="limit" style={{ bottom: `${(rule.threshold / scale) * 100}%` }} />
      {rule.history.map(({ time_ns: ns, value }) => (
        <i key={ns} class={value === null ? "" : isBeyond(value, rule) ? "some over" : "some"} style={{ height: `${((value ?? 0) / scale) * 100}%` }} />
      ))}
    </span>
  );
}

function OneRule({ name }: { name: string }): JSX.Element {
  const asked = useLive(question("GET alerts/rules/{name}", range.value, name), true);
  return (
    <>
      <p class="crumbs">
        <a href={linkTo("alerts", "", { tab: "rules" })}>{words.all}</a>
      </p>
      <Shown asked={asked} what={words.what}>
        {(rule) => <Detail rule={rule} />}
      </Shown>
    </>
  );
}

function Detail({ rule }: { rule: RuleDetail }): JSX.Element {
  const [times, values] = useMemo(
    () => [rule.history.map((point) => point.time_ns / 1e9), rule.history.map((point) => point.value ?? 0)],
    [rule.history],
  );
  return (
    <article>
      <h2>{words.detail(rule.name)}</h2>
      <p>
        <AlertStateMark state={rule.state} /> <Prose text={rule.description} />
      </p>
      <Where rule={rule} />
      {rule.error !== "" && <p class="notice" role="alert">{words.error(rule.error)}</p>}
      {values.length > 0 && (
        <div class="rule-chart">
          <Chart title={`${words.value}, ${words.limitLine(valueText(rule.threshold, rule.unit))}`} times={times} values={values}
            format={(value) => valueText(value, rule.unit)} colour="wait" least={rule.threshold * 1.25} limit={rule.threshold} />
        </div>
      )}
      <h2>{words.alerts}</h2>
      {rule.alerts.length === 0 ? <p class="muted">{words.quiet}</p> : <AlertTable alerts={rule.alerts} />}
    </article>
  );
}
