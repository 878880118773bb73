/** Requests, the newest first. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { type ApiError, apiUrl, getJson } from "../api/client";
import type { Traces as TracesData, TraceSummary } from "../api/types";
import { clock, count, duration, utc } from "../model/format";
import { olderThan, withoutDoubles } from "../model/pages";
import { FilterBar, SelectFilter, TextFilter } from "../widgets/filters";
import { linkTo, route, service, since } from "../widgets/location";
import { Failure, NoData, Nothing, Shown } from "../widgets/states";
import { useLive, useSteady } from "../widgets/use-live";
import { Cell, Meter } from "../widgets/words";

const PAGE_SIZE = 50;
const FILTERS = ["route", "status", "min", "finding"] as const;
const STATUSES = [["", "any"], ["ok", "no error"], ["error", "error"]] as const;
/** Milliseconds. */
const DURATIONS = [["", "any"], ["10", "≥ 10 ms"], ["100", "≥ 100 ms"], ["500", "≥ 500 ms"], ["1000", "≥ 1 s"], ["5000", "≥ 5 s"]] as const;

export function Traces(): JSX.Element {
  const { params } = route.value;
  const minMs = DURATIONS.find(([value]) => value !== "" && value === params["min"])?.[0];
  const query = {
    service: service.value,
    since: since.value,
    route: params["route"],
    status: params["status"],
    min_duration_ns: minMs === undefined ? undefined : Number(minMs) * 1e6,
    finding: params["finding"],
    limit: PAGE_SIZE,
  };
  const url = apiUrl("traces", query);
  const asked = useLive<TracesData>(url, true);
  const filtered = FILTERS.some((name) => (params[name] ?? "") !== "");
  const routes = [...new Set(asked.data?.traces.map((trace) => trace.route) ?? [])].filter((name) => name !== "").sort();
  return (
    <>
      <h1>Traces</h1>
      <FilterBar clear={filtered ? FILTERS : []}>
        <TextFilter name="route" label="Route" placeholder="any" choices={routes} focusKey="/" />
        <SelectFilter name="status" label="Result" options={STATUSES} />
        <SelectFilter name="min" label="Duration" options={DURATIONS} />
        {(params["finding"] ?? "") !== "" && (
          <a class="chip" href={linkTo("finding", params["finding"])}>
            with one finding
          </a>
        )}
      </FilterBar>
      <Shown asked={asked} what="traces">
        {(data) =>
          data.traces.length > 0 ? (
            <div class={asked.stale ? "stale" : ""}>
              <TraceList key={url} first={data} question={url} older={(beforeNs) => apiUrl("traces", { ...query, before_ns: beforeNs })} />
            </div>
          ) : filtered ? (
            <Nothing title="No trace fits these filters" />
          ) : (
            <NoData what="traces" />
          )
        }
      </Shown>
    </>
  );
}

/** The first page stays current; older ones are fetched when asked for, and stay. */
function TraceList(props: { first: TracesData; question: string; older: (beforeNs: number) => string }): JSX.Element {
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
      const page = (await getJson(props.older(olderThan(nextBeforeNs)), closing.current.signal)) as TracesData;
      // What stood on the first page when the older ones began moves off it as new traces arrive: keep it.
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
          <caption class="sr-only">Traces, the newest first</caption>
          <thead>
            <tr>
              <th scope="col">Request</th>
              <th scope="col">Result</th>
              <th scope="col" class="num">Duration</th>
              <th scope="col" class="num">Queue wait</th>
              <th scope="col" class="num">Stall suffered</th>
              <th scope="col" class="num">Blocked the loop</th>
              <th scope="col" class="num">Hops</th>
              <th scope="col" class="num">Queries</th>
              <th scope="col" class="num">Started</th>
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
          {busy ? "Loading …" : "Older traces"}
        </button>
      )}
    </>
  );
}

function TraceRow({ trace, longest }: { trace: TraceSummary; longest: number }): JSX.Element {
  const time = (ns: number): string => (ns > 0 ? duration(ns) : "");
  const request = [trace.method, trace.route].filter((part) => part !== "").join(" ") || trace.name;
  return (
    <tr class="row-link">
      <th scope="row" class="what">
        <a href={linkTo("trace", trace.trace_id)}>{request}</a>
        <div class="muted small">
          {trace.service} · <code>{trace.trace_id.slice(0, 8)}</code> · {count(trace.spans)} spans
        </div>
      </th>
      <td data-label="Result">
        <span class={trace.error ? "level-bad" : ""}>{trace.error ? "✕ " : ""}{trace.status_code || (trace.error ? "error" : "–")}</span>
        {trace.refusals > 0 && <span class="tag tag-bad">{trace.refusals} refused</span>}
      </td>
      <td class="num" data-label="Duration">
        {duration(trace.duration_ns)}
        <Meter share={trace.duration_ns / longest} />
      </td>
      <Cell label="Queue wait" text={time(trace.wait_ns)} />
      <Cell label="Stall suffered" text={time(trace.loop_suffered_ns)} />
      <Cell label="Blocked the loop" text={time(trace.loop_caused_ns)} />
      <td class="num" data-label="Hops">{count(trace.hops)}</td>
      <td class="num" data-label="Queries">{count(trace.queries)}</td>
      <td class="num nowrap" data-label="Started">
        <time dateTime={new Date(trace.start_ns / 1e6).toISOString()} title={utc(trace.start_ns)}>{clock(trace.start_ns)}</time>
      </td>
    </tr>
  );
}
