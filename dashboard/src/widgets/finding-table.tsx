/** Findings as a table; cards on a phone. */

import type { JSX } from "preact";
import type { Finding } from "../api/types";
import { count, duration, plural } from "../model/format";
import { victimsText } from "../model/victims";
import { wordsOf } from "../model/kinds";
import { text } from "../text";
import { Sparkline } from "./bars";
import { StateBadge } from "./finding-state";
import { Prose } from "./rich";
import { useSteady } from "./use-live";
import { AgoText, CallSiteText, Cell, FindingLink, KindBadge, Meter } from "./atoms";

const words = text.findings;
const { columns } = words;
const ROUTES_SHOWN = 3;
export function FindingTable(props: { findings: readonly Finding[]; question: string; caption: string }): JSX.Element {
  const { shown, held, hold } = useSteady(props.findings, props.question);
  const most = shown.reduce((max, finding) => Math.max(max, finding.impact_ns), 1);
  return (
    <div class="table-box" {...hold}>
      <table class="cards findings">
        <caption class="sr-only">{props.caption}</caption>
        <thead>
          <tr>
            <th scope="col">{columns.finding}</th>
            <th scope="col" class="num" title={text.definitions.occurrences}>{columns.times}</th>
            <th scope="col" class="num">{columns.total}</th>
            <th scope="col" class="num">{columns.p95}</th>
            <th scope="col" class="num">{columns.max}</th>
            <th scope="col" class="num" title={`${text.definitions.affected_requests} ${text.definitions.time_lost}`}>{columns.hurt}</th>
            <th scope="col" class="spark-head">{columns.trend}</th>
            <th scope="col" class="num">{columns.seen}</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((finding) => (
            <FindingRow key={finding.id} finding={finding} share={finding.impact_ns / most} />
          ))}
        </tbody>
      </table>
      <p class="held" aria-hidden="true">{held ? words.held : ""}</p>
    </div>
  );
}

/** The routes with the highest cost, and how many more there are. */
function routesText({ routes }: Finding): string[] {
  const named = routes.filter((route) => route !== "");
  const more = named.length - ROUTES_SHOWN;
  return more > 0 ? [...named.slice(0, ROUTES_SHOWN), words.moreRoutes(more)] : named;
}

function FindingRow({ finding, share }: { finding: Finding; share: number }): JSX.Element {
  const kind = wordsOf(finding.kind);
  const time = (ns: number): string => (finding.total_ns === 0 ? "" : duration(ns));
  return (
    <tr class="row-link">
      <th scope="row" class="what">
        <div class="what-head">
          <KindBadge kind={finding.kind} />
          <FindingLink finding={finding}>
            <CallSiteText site={finding.call_site} />
          </FindingLink>
          <StateBadge state={finding.state.state} />
          {finding.ongoing > 0 && <span class="ongoing">{words.goingOn}</span>}
        </div>
        <div class="sentence">
          <Prose text={finding.summary} />
        </div>
        <div class="muted small">
          {[finding.service, ...routesText(finding)].join(" · ")}
        </div>
      </th>
      <td class="num" data-label={columns.times} title={plural(finding.count, kind.one, kind.many)}>{count(finding.count)}</td>
      <td class="num" data-label={words.totalOf(kind.cost)}>
        {time(finding.total_ns) || "–"}
        <Meter share={share} level="cost" />
      </td>
      <Cell label={columns.p95} text={time(finding.p95_ns)} />
      <Cell label={columns.max} text={time(finding.max_ns)} />
      <Cell label={columns.hurt} text={victimsText(finding.victims)} />
      <td data-label={columns.trend}>
        <Sparkline values={finding.sparkline} />
      </td>
      <td class="num nowrap" data-label={columns.seen}>
        <AgoText at={finding.last_seen} />
      </td>
    </tr>
  );
}
