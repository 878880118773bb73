/** Requests, the newest first. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { type ApiError, ask, question, type Question } from "../api/client";
import type { Traces as TracesData, TraceSummary } from "../api/types";
import { bothZones, clock, count, duration, plural } from "../model/format";
import { olderThan, withoutDoubles } from "../model/pages";
import { text } from "../text";
import { FilterBar, SelectFilter, TextFilter } from "../widgets/filters";
import { linkTo, route, scope } from "../widgets/location";
import { Failure, NoData, Nothing, Shown } from "../widgets/states";
import { useLive, useSteady } from "../widgets/use-live";
import { Cell, Meter } from "../widgets/atoms";

const words = text.traces;
const PAGE_SIZE = 50;
const FILTERS = ["route", "status", "min", "finding"] as const;
const STATUSES = Object.entries(words.results);
/** Milliseconds. */
const DURATIONS: readonly (readonly [string, string])[] = [
  ["", text.findings.any],
  ...[10, 100, 500, 1000, 5000].map((ms) => [String(ms), words.atLeast(duration(ms * 1e6))] as const),
];

export function Traces(): JSX.Element {
  const { params } = route.value;
  const minMs = DURATIONS.find(([value]) => value !== "" && value === params["min"])?.[0];
  const query = {
    ...scope.value,
    route: params["route"],
    status: params["status"],
    min_duration_ns: minMs === undefined ? undefined : Number(minMs) * 1e6,
    finding: params["finding"],
    limit: PAGE_SIZE,
  };
  const asking = question("GET traces", query);
  const asked = useLive(asking, true);
  const filtered = FILTERS.some((name) => (params[name] ?? "") !== "");
  const routes = [...new Set(asked.data?.traces.map((trace) => trace.route) ?? [])].filter((name) => name !== "").sort();
  return (
    <>
      <h1>{words.title}</h1>
      <FilterBar clear={filtered ? FILTERS : []}>
        <TextFilter name="route" label={text.findings.route} placeholder={text.findings.any} choices={routes} focusKey="/" />
        <SelectFilter name="status" label={words.result} options={STATUSES} />
        <SelectFilter name="min" label={words.duration} options={DURATIONS} />
        {(params["finding"] ?? "") !== "" && (
          <a class="chip" href={linkTo("finding", params["finding"])}>
            {words.withFinding}
          </a>
        )}
      </FilterBar>
      <Shown asked={asked} what={words.what}>
        {(data) =>
          data.traces.length > 0 ? (
            <div class={asked.stale ? "stale" : ""}>
              <TraceList key={asking.url} first={data} question={asking.url}
                older={(beforeNs) => question("GET traces", { ...query, before_ns: beforeNs })} />
            </div>
          ) : filtered ? (
            <Nothing title={words.none} />
          ) : (
            <NoData what={words.what} />
          )
        }
      </Shown>
    </>
  );
}

/** The first page stays current; older ones are fetched on demand, and stay. */
function TraceList(props: { first: TracesData; question: string; older: (beforeNs: number) => Question<TracesData> }): JSX.Element {
  const [olderPages, setOlderPages] = useState<TraceSummary[]>([]);
  const [next, setNext] = useState<number | null | undefined>(undefined);
  const [failure, setFailure] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  const closing = useRef(new AbortController());
  useEffect(() => () => closing.current.abort(), []);
  const { shown, hold } = useSteady(props.first.traces, props.question);
  const nextBeforeNs = next === undefined ? props.first.next_before_ns : next;

  const more = async (): Promise<void> => {
    if (nextBeforeNs === null) return;
    setBusy(true);
    setFailure(null);
    try {
      const page = await ask(props.older(olderThan(nextBeforeNs)), closing.current.signal);
      // New traces push rows off the first page after the older ones were requested: keep those rows.
      setOlderPages((pages) => withoutDoubles([...pages, ...(pages.length === 0 ? shown : []), ...page.traces]));
      setNext(page.next_before_ns);
    } catch (error) {
      if (!closing.current.signal.aborted) setFailure(error as ApiError);
    }
    setBusy(false);
  };

  const traces = withoutDoubles([...shown, ...olderPages]);
  const longest = traces.reduce((most, trace) => Math.max(most, trace.duration_ns), 1);
  return (
    <>
      <div class="table-box" {...hold}>
        <table class="cards traces">
          <caption class="sr-only">{words.caption}</caption>
          <thead>
            <tr>
              <th scope="col">{words.request}</th>
              <th scope="col">{words.result}</th>
              <th scope="col" class="num">{words.duration}</th>
              <th scope="col" class="num">{words.wait}</th>
              <th scope="col" class="num">{words.stalled}</th>
              <th scope="col" class="num">{words.blocked}</th>
              <th scope="col" class="num">{words.hops}</th>
              <th scope="col" class="num">{words.queries}</th>
              <th scope="col" class="num">{words.started}</th>
            </tr>
          </thead>
          <tbody>
            {traces.map((trace) => (
              <TraceRow key={trace.trace_id} trace={trace} longest={longest} />
            ))}
          </tbody>
        </table>
      </div>
      {failure !== null && <Failure error={failure} retry={() => void more()} />}
      {nextBeforeNs !== null && failure === null && (
        <button type="button" disabled={busy} onClick={() => void more()}>
          {busy ? words.loading : words.older}
        </button>
      )}
    </>
  );
}

function TraceRow({ trace, longest }: { trace: TraceSummary; longest: number }): JSX.Element {
  const time = (ns: number): string => (ns > 0 ? duration(ns) : "");
  // A request refused before routing has a method and no route.
  const routed = trace.method === "" || trace.route !== "" ? trace.route : text.traces.noRoute;
  const request = [trace.method, routed].filter((part) => part !== "").join(" ") || trace.name;
  return (
    <tr class="row-link">
      <th scope="row" class="what">
        <a href={linkTo("trace", trace.trace_id)}>{request}</a>
        <div class="muted small">
          {trace.service} · <code>{trace.trace_id.slice(0, 8)}</code> · {plural(trace.spans, ...text.nouns.span)}
        </div>
      </th>
      <td data-label={words.result}>
        <span class={trace.error ? "level-bad" : ""}>{trace.error ? "✕ " : ""}{trace.status_code || (trace.error ? words.error : "–")}</span>
        {trace.refusals > 0 && <span class="tag tag-bad">{words.refused(trace.refusals)}</span>}
      </td>
      <td class="num" data-label={words.duration}>
        {duration(trace.duration_ns)}
        <Meter share={trace.duration_ns / longest} />
      </td>
      <Cell label={words.wait} text={time(trace.wait_ns)} />
      <Cell label={words.stalled} text={time(trace.loop_suffered_ns)} />
      <Cell label={words.blocked} text={time(trace.loop_caused_ns)} />
      <td class="num" data-label={words.hops}>{count(trace.hops)}</td>
      <td class="num" data-label={words.queries}>{count(trace.queries)}</td>
      <td class="num nowrap" data-label={words.started}>
        <time dateTime={new Date(trace.start_ns / 1e6).toISOString()} title={bothZones(trace.start_ns)}>{clock(trace.start_ns)}</time>
      </td>
    </tr>
  );
}
