/** Health of the services, and links to the problems. */

import type { ComponentChildren, JSX } from "preact";
import { useMemo } from "preact/hooks";
import { question } from "../api/client";
import type { Overview as OverviewData, ReleaseMarker, ServiceHealth } from "../api/types";
import { ago, clock, count, duration, percent, plural, rate, significant, zone } from "../model/format";
import { isLive, rangeText } from "../model/range";
import { blockedLevel, errorLevel, isCurrent, type Level, responsesText, type Verdict, verdictsOf, waitLevel } from "../model/verdict";
import { text } from "../text";
import { Chart, type Marker } from "../widgets/chart";
import { FindingTable } from "../widgets/finding-table";
import { LevelMark } from "../widgets/icon";
import { linkTo, range, scope } from "../widgets/location";
import { Prose, Rich } from "../widgets/rich";
import { NoData, Shown } from "../widgets/states";
import { useLive } from "../widgets/use-live";
import { CallSiteText, FindingLink, Meter, now } from "../widgets/atoms";

const words = text.overview;
const { columns } = words;

export function Overview(): JSX.Element {
  const asking = question("GET overview", scope.value);
  const asked = useLive(asking, true);
  return (
    <>
      <h1 class="sr-only">{words.title}</h1>
      <Shown asked={asked} what={words.what}>
        {(data) =>
          data.services.length === 0 && data.findings.length === 0 ? (
            <NoData what={words.data} />
          ) : (
            <div class={asked.stale ? "stale" : ""}>
              <Verdicts verdicts={verdictsOf(data)} />
              <ServiceTable services={data.services} />
              <Series data={data} />
              <TopFindings data={data} question={asking.url} />
            </div>
          )
        }
      </Shown>
    </>
  );
}

/** Further ones are in the table of services. */
const VERDICTS_SHOWN = 3;

function Verdicts({ verdicts }: { verdicts: readonly Verdict[] }): JSX.Element {
  return (
    <section class="verdicts" aria-label={words.verdict}>
      {verdicts.slice(0, VERDICTS_SHOWN).map((verdict, index) => (
        <p key={verdict.text} class={`verdict verdict-${verdict.level} ${index === 0 ? "first" : ""}`}>
          <LevelMark level={verdict.level} />
          <span>
            <Prose text={verdict.text} />
            {verdict.finding === null ? (
              words.end
            ) : (
              <Rich text={words.worst} finding={
                <FindingLink finding={verdict.finding}>
                  <CallSiteText site={verdict.finding.call_site} />
                </FindingLink>
              } />
            )}{" "}
            <When untilNs={verdict.untilNs} />
          </span>
        </p>
      ))}
    </section>
  );
}

/** The time of a verdict: the range up to now, or the end of its data. */
function When({ untilNs }: { untilNs: number | null }): JSX.Element {
  const shown = rangeText(range.value, zone.value);
  const stale = untilNs !== null && isLive(range.value) && !isCurrent(untilNs, now.value);
  return (
    <span class="verdict-when">
      {stale
        ? text.verdicts.until(clock(untilNs), ago(untilNs, now.value))
        : isLive(range.value)
          ? text.verdicts.current(shown)
          : shown}
    </span>
  );
}

function ServiceTable({ services }: { services: readonly ServiceHealth[] }): JSX.Element {
  return (
    <section>
      <h2>{words.services}</h2>
      <div class="table-box">
        <table class="cards services">
          <thead>
            <tr>
              <th scope="col">{columns.service}</th>
              <th scope="col" class="num" title={text.definitions.loop_blocked}>{columns.blocked}</th>
              <th scope="col" class="num" title={text.definitions.queue_wait}>{columns.p50}</th>
              <th scope="col" class="num" title={text.definitions.queue_wait}>{columns.p95}</th>
              <th scope="col" class="num" title={text.definitions.queue_wait}>{columns.p99}</th>
              <th scope="col" class="num">{columns.shared}</th>
              <th scope="col" class="num">{columns.refusals}</th>
              <th scope="col" class="num" title={text.definitions.hops}>{columns.hops}</th>
              <th scope="col" class="num" title={text.definitions.requests}>{columns.requests}</th>
              <th scope="col" class="num" title={text.definitions.errors}>{columns.errors}</th>
              <th scope="col" class="num">{columns.duration}</th>
            </tr>
          </thead>
          <tbody>
            {services.map((health) => (
              <ServiceRow key={health.service} health={health} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function ServiceRow({ health }: { health: ServiceHealth }): JSX.Element {
  const blocked = blockedLevel(health);
  return (
    <tr>
      <th scope="row">
        <a href={linkTo("overview", "", { service: health.service })}>{health.service}</a>
        <span class="muted small">
          {" "}
          {plural(health.processes, ...text.nouns.process)}
          {(health.versions[0] ?? "") !== "" && " · "}
          <span class="version" title={health.versions[0]}>{health.versions[0]}</span>
        </span>
        {!health.watched && <span class="tag" title={words.notWatchedMeaning}>{words.notWatched}</span>}
        {health.watched && !health.exact && <span class="tag" title={words.estimateMeaning}>{words.estimate}</span>}
      </th>
      <td class="num" data-label={columns.blocked}>
        {health.loop_blocked_share === null ? (
          <span class="muted">{words.notWatched}</span>
        ) : (
          <>
            <Graded level={blocked} text={percent(health.loop_blocked_share)} />
            <Meter share={health.loop_blocked_share} level={blocked} />
          </>
        )}
      </td>
      <Watched health={health} label={columns.p50}>{duration(health.wait_p50_ns)}</Watched>
      <Watched health={health} label={columns.fullP95}>
        <Graded level={waitLevel(health)} text={duration(health.wait_p95_ns)} />
      </Watched>
      <Watched health={health} label={columns.fullP99}>{duration(health.wait_p99_ns)}</Watched>
      <Watched health={health} label={columns.shared}>{count(health.shared_waits)}</Watched>
      <Watched health={health} label={columns.refusals}>
        <Graded level={health.refusals > 0 ? "bad" : "good"} text={count(health.refusals)} />
      </Watched>
      <Watched health={health} label={columns.hops}>{significant(health.hops_per_request ?? 0)}</Watched>
      <td class="num" data-label={columns.requests}>
        {rate(health.requests_per_second)} <small class="muted">{count(health.requests)}</small>
      </td>
      <td class="num" data-label={columns.errors} title={responsesText(health.responses)}>
        <Graded level={errorLevel(health)} text={count(health.errors)} />
      </td>
      <td class="num" data-label={columns.duration}>{duration(health.duration_p95_ns)}</td>
    </tr>
  );
}

/** A figure that needs asgiscope in the service: otherwise unknown. */
function Watched(props: { health: ServiceHealth; label: string; children: ComponentChildren }): JSX.Element {
  return (
    <td class={`num ${props.health.watched ? "" : "none"}`} data-label={props.label}>
      {props.health.watched ? props.children : "–"}
    </td>
  );
}

/** A number, marked only if it is not good: most are. */
function Graded({ level, text }: { level: Level; text: string }): JSX.Element {
  if (level === "good") return <>{text}</>;
  return (
    <span class={`graded level-${level}`}>
      <LevelMark level={level} />
      {text}
    </span>
  );
}

function TopFindings({ data, question }: { data: OverviewData; question: string }): JSX.Element {
  return (
    <section>
      <h2>
        {words.costliest}{" "}
        <a class="more" href={linkTo("findings")}>{words.allFindings(count(data.findings_total))}</a>
      </h2>
      {data.findings.length === 0 ? (
        <p class="state good-news">{words.noFindings}</p>
      ) : (
        <FindingTable findings={data.findings} question={question} caption={words.findingsCaption} />
      )}
    </section>
  );
}

function Series({ data }: { data: OverviewData }): JSX.Element {
  const series = useMemo(() => seriesOf(data), [data]);
  const markers = useMemo(() => markersOf(data.releases), [data]);
  // A flat line for unwatched loops would look like a good result.
  const watched = data.services.some((health) => health.watched);
  return (
    <section class="charts" aria-label={words.series}>
      {watched && <Chart title={words.blocked}
        times={series.times} values={series.blocked} format={percent} colour="stall" least={0.01} markers={markers} />}
      {watched && <Chart title={words.wait}
        times={series.times} values={series.wait} format={duration} colour="wait" least={1e6} markers={markers} />}
      <Chart title={words.requests}
        times={series.times} values={series.requests} format={rate} colour="run" least={1} markers={markers} />
      <Chart title={words.errors}
        times={series.times} values={series.errors} format={count} colour="refusal" least={4} bars markers={markers} />
      {watched && <Chart title={words.refusals}
        times={series.times} values={series.refusals} format={count} colour="refusal" least={4} bars markers={markers} />}
    </section>
  );
}

/** A line for the first appearance of each version; with its service if several are shown. */
function markersOf(releases: readonly ReleaseMarker[]): Marker[] {
  const several = new Set(releases.map(({ service }) => service)).size > 1;
  return releases.map(({ time_ns: ns, version, service }) => ({
    time: ns / 1e9,
    label: several ? words.release(version, service) : version,
  }));
}

function seriesOf({ series, step_ns: stepNs }: OverviewData): Record<"times" | "blocked" | "wait" | "requests" | "refusals" | "errors", number[]> {
  return {
    times: series.map((point) => point.time_ns / 1e9),
    blocked: series.map((point) => point.loop_blocked_share ?? 0),
    errors: series.map((point) => point.errors),
    wait: series.map((point) => point.wait_p95_ns),
    requests: series.map((point) => point.requests / (stepNs / 1e9)),
    refusals: series.map((point) => point.refusals),
  };
}
