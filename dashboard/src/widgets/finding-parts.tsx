/** The figures of one finding by route, by release and by trace. */

import type { JSX } from "preact";
import type { FindingDetail, FindingRelease, RouteCost, TraceSummary, VictimRoute } from "../api/types";
import { count, duration, plural, significant } from "../model/format";
import { victimsText } from "../model/victims";
import { text } from "../text";
import { linkTo } from "./location";
import { AgoText, Cell, Meter, TraceLink } from "./atoms";

const words = text.finding;

export function ByRoute({ rows, timed }: { rows: readonly RouteCost[]; timed: boolean }): JSX.Element | null {
  if (rows.length === 0) return null;
  const whole = rows.reduce((sum, row) => sum + (timed ? row.total_ns : row.count), 0);
  return (
    <section>
      <h2>{plural(rows.length, ...text.nouns.route)}</h2>
      <div class="table-box">
        <table class="cards tight">
          <thead>
            <tr>
              <th scope="col">{words.route}</th>
              <th scope="col" class="num">{words.times}</th>
              {timed && <th scope="col" class="num">{text.findings.columns.total}</th>}
              <th scope="col" class="num">{text.findings.columns.hurt}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.route}>
                <th scope="row" class="wrap">
                  {row.route === "" ? (
                    <span class="muted">{words.noRoute}</span>
                  ) : (
                    <a href={linkTo("findings", "", { route: row.route })} title={words.routeHint}>{row.route}</a>
                  )}
                  <Meter share={(timed ? row.total_ns : row.count) / Math.max(whole, 1)} level="cost" />
                </th>
                <Cell label={words.times} text={count(row.count)} />
                {timed && <Cell label={text.findings.columns.total} text={duration(row.total_ns)} />}
                <Cell label={text.findings.columns.hurt} text={victimsText(row.victims)} />
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

export function ByVictim({ rows }: { rows: readonly VictimRoute[] }): JSX.Element | null {
  if (rows.length === 0) return null;
  return (
    <section>
      <h2>{words.byVictim}</h2>
      <div class="table-box">
        <table class="cards tight">
          <thead>
            <tr>
              <th scope="col">{words.route}</th>
              <th scope="col" class="num">{words.requests}</th>
              <th scope="col" class="num">{words.lostColumn}</th>
              <th scope="col">{words.evidence}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.route}>
                <th scope="row" class="wrap">{row.route || <span class="muted">{words.noRoute}</span>}</th>
                <Cell label={words.requests} text={count(row.count)} />
                <Cell label={words.lostColumn} text={duration(row.total_ns)} />
                <td data-label={words.evidence}>{row.trace_id === "" ? "–" : <TraceLink id={row.trace_id} />}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

/** Shown if there is more than one version. */
export function ByRelease({ rows }: { rows: readonly FindingRelease[] }): JSX.Element | null {
  if (rows.length < 2 && (rows[0]?.version ?? "") === "") return null;
  const most = rows.reduce((max, row) => Math.max(max, row.per_thousand_requests), 0);
  return (
    <section>
      <h2>
        {words.byRelease} <a class="more" href={linkTo("releases")}>{text.nav.releases}</a>
      </h2>
      <div class="table-box">
        <table class="cards tight">
          <thead>
            <tr>
              <th scope="col">{words.release}</th>
              <th scope="col" class="num">{words.times}</th>
              <th scope="col" class="num">{words.perThousand}</th>
              <th scope="col" class="num">{text.findings.columns.seen}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.version}>
                <th scope="row" class="wrap">{row.version || <span class="muted">{words.noVersion}</span>}</th>
                <Cell label={words.times} text={count(row.count)} />
                <td class="num" data-label={words.perThousand}>
                  {significant(row.per_thousand_requests)}
                  <Meter share={row.per_thousand_requests / Math.max(most, 1e-9)} level="cost" />
                </td>
                <td class="num" data-label={text.findings.columns.seen}>
                  <AgoText at={row.last_seen} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

/** Traces with the finding: stored ones with their figures, the others by id. */
export function Evidence({ finding }: { finding: FindingDetail }): JSX.Element {
  const known = new Map(finding.evidence.map((trace) => [trace.trace_id, trace]));
  return (
    <section>
      <h2>{words.evidence}</h2>
      {finding.trace_ids.length === 0 ? (
        <p class="muted">{words.noTrace}</p>
      ) : (
        <ul class="targets evidence">
          {finding.trace_ids.map((id, index) => (
            <li key={id}>
              <TraceLink id={id}>
                {requestOf(known.get(id)) || words.trace} <code>{id.slice(0, 8)}</code>
              </TraceLink>
              <span class="muted small">
                {" "}
                {costOf(known.get(id))}
                {index === 0 && words.costliest}
              </span>
            </li>
          ))}
        </ul>
      )}
      <p>
        <a href={linkTo("traces", "", { finding: finding.id })}>{words.allTraces}</a>
      </p>
    </section>
  );
}

function requestOf(trace: TraceSummary | undefined): string {
  return trace === undefined ? "" : [trace.method, trace.route].filter((part) => part !== "").join(" ") || trace.name;
}

function costOf(trace: TraceSummary | undefined): string {
  if (trace === undefined) return "";
  const waited = trace.wait_ns > 0 ? `, ${words.waited(duration(trace.wait_ns))}` : "";
  return `${duration(trace.duration_ns)}${waited}`;
}
