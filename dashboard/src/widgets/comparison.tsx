/** The two sides of a comparison: verdict of each finding, the figures, and how similar the traffic was. */

import type { JSX } from "preact";
import type { Comparison, FindingChange, RouteTraffic, Side } from "../api/types";
import { count, dateTime, duration, percent, significant, zone } from "../model/format";
import { type FigureRow, figuresOf } from "../model/releases";
import { text } from "../text";
import { Icon } from "./icon";
import { linkTo } from "./location";
import { Prose } from "./rich";
import { CallSiteText, Cell, Cut, KindBadge } from "./atoms";

const words = text.releases;
const MINUS = "\u2212";

export function ComparisonBody({ data }: { data: Comparison }): JSX.Element {
  return (
    <>
      <Tally findings={data.findings} />
      <Figures data={data} />
      <Changes findings={data.findings} total={data.findings_total} />
      <Traffic data={data} />
      <section>
        <h2>{words.tests}</h2>
        <p class="muted small">{data.rate_test}</p>
        <p class="muted small">{data.cost_test}</p>
      </section>
    </>
  );
}

/** `2 gone · 1 worse`: a summary before the tables. */
function Tally({ findings }: { findings: readonly FindingChange[] }): JSX.Element {
  const kinds = (["worse", "new", "gone", "better"] as const)
    .map((verdict) => [verdict, findings.filter((finding) => finding.verdict === verdict).length] as const)
    .filter(([, number]) => number > 0);
  return (
    <p class="tally" aria-label={words.summary}>
      {kinds.length === 0 && words.nothing}
      {kinds.map(([verdict, number]) => (
        <span key={verdict} class={`outcome outcome-${verdict}`}>
          <Icon name={verdict} /> {count(number)} {words.verdicts[verdict].toLowerCase()}
        </span>
      ))}
    </p>
  );
}

function sideTitle(side: Side): string {
  const shown = (ns: number): string => dateTime(ns, zone.value).slice(0, 16);
  return side.version || words.period(shown(side.since_ns), shown(side.until_ns));
}

function Figures({ data }: { data: Comparison }): JSX.Element {
  return (
    <section>
      <div class="table-box">
        <table class="cards tight sides">
          <thead>
            <tr>
              <th scope="col">{words.figure}</th>
              <th scope="col" class="num">{words.base}<br />{sideTitle(data.base)}</th>
              <th scope="col" class="num">{words.other}<br />{sideTitle(data.other)}</th>
              <th scope="col" class="num">{words.change}</th>
            </tr>
          </thead>
          <tbody>
            {figuresOf(data).map((row) => (
              <tr key={row.name}>
                <th scope="row">{words.figures[row.name]}</th>
                <Cell label={words.base} text={row.base} />
                <Cell label={words.other} text={row.other} />
                <td class="num" data-label={words.change}>
                  <Trend row={row} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Trend({ row }: { row: FigureRow }): JSX.Element {
  const shown = row.change === null ? "" : `${row.change < 0 ? MINUS : "+"}${percent(Math.abs(row.change))}`;
  if (row.trend === "same") return <span class="muted">{row.change === 0 ? "=" : shown}</span>;
  return (
    <span class={`outcome outcome-${row.trend}`}>
      <Icon name={row.trend} /> {shown} {row.trend === "better" ? words.better : words.worse}
    </span>
  );
}

function Changes({ findings, total }: { findings: readonly FindingChange[]; total: number }): JSX.Element {
  return (
    <section>
      <h2>{words.findings}</h2>
      <div class="table-box">
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">{words.finding}</th>
              <th scope="col">{words.verdict}</th>
              <th scope="col" class="num">{words.perThousand}</th>
              <th scope="col" class="num">{words.p95}</th>
            </tr>
          </thead>
          <tbody>
            {findings.map((finding) => (
              <ChangeRow key={finding.finding_id} finding={finding} />
            ))}
          </tbody>
        </table>
      </div>
      <Cut shown={findings.length} total={total} order="change" />
    </section>
  );
}

function ChangeRow({ finding }: { finding: FindingChange }): JSX.Element {
  const { rate_ratio: ratio, rate_ratio_low: low, rate_ratio_high: high } = finding;
  return (
    <tr class="row-link">
      <th scope="row" class="what">
        <div class="what-head">
          <KindBadge kind={finding.kind} />
          <a href={linkTo("finding", finding.finding_id, { since: "30d", until: "" })}>
            <CallSiteText site={finding.call_site} />
          </a>
        </div>
        <div class="sentence">
          <Prose text={finding.reason} />
        </div>
        <div class="muted small">
          {finding.service}
          {ratio !== null && ` · ${words.ratio(significant(ratio), low === null ? "0" : significant(low), high === null ? "∞" : significant(high))}`}
        </div>
      </th>
      <td data-label={words.verdict}>
        <span class={`outcome outcome-${finding.verdict}`}>
          <Icon name={finding.verdict} /> {words.verdicts[finding.verdict]}
        </span>
      </td>
      <Cell label={words.perThousand} text={words.fromTo(significant(finding.base_rate), significant(finding.rate))} />
      <Cell label={words.p95} text={words.fromTo(duration(finding.base_p95_ns), duration(finding.p95_ns))} />
    </tr>
  );
}

function Traffic({ data }: { data: Comparison }): JSX.Element | null {
  if (data.traffic.length === 0) return null;
  return (
    <section>
      <h2>
        {words.traffic} <small class="muted">{words.trafficNote(percent(data.traffic_distance))}</small>
      </h2>
      <div class="table-box">
        <table class="cards tight">
          <thead>
            <tr>
              <th scope="col">{text.middleware.route}</th>
              <th scope="col" class="num">{words.figures.requests}</th>
              <th scope="col" class="num">{words.share}</th>
              <th scope="col" class="num">{words.figures.p95}</th>
            </tr>
          </thead>
          <tbody>
            {data.traffic.map((row: RouteTraffic) => (
              <tr key={`${row.service} ${row.route}`}>
                <th scope="row" class="wrap">
                  {row.route || text.finding.noRoute} <span class="muted small">{row.service}</span>
                </th>
                <Cell label={words.figures.requests} text={words.fromTo(count(row.base_requests), count(row.requests))} />
                <Cell label={words.share} text={words.fromTo(percent(row.base_share), percent(row.share))} />
                <Cell label={words.figures.p95} text={words.fromTo(duration(row.base_duration_p95_ns), duration(row.duration_p95_ns))} />
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Cut shown={data.traffic.length} total={data.traffic_total} order="traffic" />
    </section>
  );
}
