/** One request as lanes of threads: what ran, what waited, and for what. */

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { question } from "../api/client";
import * as sem from "../api/semconv";
import type { Span, Trace as TraceData } from "../api/types";
import { criticalNs, criticalPathOf } from "../model/critical";
import { describe, verdictsOf } from "../model/describe";
import { bothZones, clock, count, duration, plural } from "../model/format";
import { isOngoing, timelineOf } from "../model/lanes";
import { wholeParam } from "../model/route";
import { drawn, matches } from "../model/search";
import { sharesOf } from "../model/share";
import { keyOf, numberOf, routeOf, textOf } from "../model/spans";
import { text } from "../text";
import { useFocusKey } from "../widgets/filters";
import { linkTo, route, setParams } from "../widgets/location";
import { CriticalSteps } from "../widgets/critical-steps";
import { Rich } from "../widgets/rich";
import { ShareBar } from "../widgets/share-bar";
import { SpanPanel } from "../widgets/span-panel";
import { SpanTable } from "../widgets/span-table";
import { Nothing, Shown } from "../widgets/states";
import { Timeline } from "../widgets/timeline";
import { useLive } from "../widgets/use-live";

const words = text.trace;

/** Number of spans requested at first, and the API's limit. */
const LIMIT = 2_000;
const MOST = 20_000;
/** Spans of a trace younger than this may still arrive. */
const SETTLED_MS = 60_000;

function canChange(trace: TraceData): boolean {
  const newest = trace.spans.reduce((most, span) => Math.max(most, span.start_ns + span.duration_ns), 0);
  return isOngoing(trace) || Date.now() - newest / 1e6 < SETTLED_MS;
}

export function Trace(): JSX.Element {
  const { id } = route.value;
  const limit = Math.min(wholeParam(route.value, "limit", LIMIT, 1), MOST);
  const asked = useLive(question("GET traces/{trace_id}", { limit }, id), true, canChange);
  return (
    <>
      <p class="crumbs">
        <a href={linkTo("traces")}>{text.nav.traces}</a>
      </p>
      <Shown asked={asked} what={words.what}>
        {(trace) => (trace.spans.length === 0 ? <Nothing title={words.empty} /> : <Detail trace={trace} limit={limit} />)}
      </Shown>
    </>
  );
}

function Detail({ trace, limit }: { trace: TraceData; limit: number }): JSX.Element {
  const [query, setQuery] = useState("");
  const input = useRef<HTMLInputElement>(null);
  useFocusKey("/", input);
  const timeline = useMemo(() => timelineOf(trace), [trace]);
  const spans = useMemo(() => drawn(timeline), [timeline]);
  const found = useMemo(() => (query.trim() === "" ? null : spans.filter((span) => matches(span, query))), [spans, query]);
  const keys = useMemo(() => found?.map(keyOf) ?? null, [found]);
  const selected = selectedOf(spans, trace.trace_id, route.value.params["span"] ?? "");
  const select = (key: string | null): void => {
    const [traceId = "", spanId = ""] = key?.split("/") ?? [];
    setParams({ span: traceId === trace.trace_id ? spanId : (key ?? "") }, false);
  };
  const critical = useMemo(() => criticalPathOf(trace, timeline.originNs), [trace, timeline]);
  const criticalOnly = route.value.params["critical"] === "only";
  const shares = useMemo(() => sharesOf(trace), [trace]);
  const goOn = (event: KeyboardEvent): void => {
    if (event.key === "Escape") setQuery("");
    if (event.key !== "Enter" || keys === null) return;
    const at = selected === null ? -1 : keys.indexOf(keyOf(selected));
    select(keys[(at + 1) % keys.length] ?? null);
  };
  return (
    <article class="trace">
      <Head trace={trace} root={timeline.root} verdicts={verdictsOf(trace, shares)} />
      <ShareBar shares={shares} />
      {trace.truncated && <Truncated trace={trace} limit={limit} />}
      <div class="find">
        <label>
          <span class="sr-only">{words.search}</span>
          <input ref={input} type="search" value={query} placeholder={words.searchHint} spellcheck={false}
            onInput={(event) => setQuery(event.currentTarget.value)} onKeyDown={goOn} />
        </label>
        <span role="status" class="muted small">{keys === null ? "" : words.found(plural(keys.length, ...text.nouns.span))}</span>
      </div>
      <div class={selected === null ? "work" : "work with-panel"}>
        <div class="column">
          <Timeline timeline={timeline} selected={selected === null ? null : keyOf(selected)} matches={keys} onSelect={select}
            critical={critical} criticalOnly={criticalOnly} onCritical={(only) => setParams({ critical: only ? "only" : "" }, false)}
            onSearch={() => input.current?.focus()} />
          <CriticalSteps path={critical} selected={selected === null ? null : keyOf(selected)} onSelect={select} />
          <section>
            <h2>{words.spans} <small class="muted">{count(found?.length ?? spans.length)}</small></h2>
            <SpanTable spans={found ?? spans} traceId={trace.trace_id} originNs={timeline.originNs}
              selected={selected === null ? null : keyOf(selected)} onSelect={select} />
          </section>
        </div>
        {selected !== null && <SpanPanel span={selected} critical={criticalNs(critical, keyOf(selected))} traceId={trace.trace_id} onClose={() => select(null)} />}
      </div>
      <Announced span={selected} traceId={trace.trace_id} />
    </article>
  );
}

/** The URL has a span id alone, or `trace/span` for a span of another trace. */
function selectedOf(spans: readonly Span[], traceId: string, param: string): Span | null {
  if (param === "") return null;
  const key = param.includes("/") ? param : `${traceId}/${param}`;
  return spans.find((span) => keyOf(span) === key) ?? null;
}

function Head({ trace, root, verdicts }: { trace: TraceData; root: Span | null; verdicts: readonly string[] }): JSX.Element {
  if (root === null) return <h1>{words.title}</h1>;
  const status = textOf(root.attributes, sem.HTTP_STATUS);
  const failed = root.status_code === "Error" || (numberOf(root.attributes, sem.HTTP_STATUS) ?? 0) >= 500;
  return (
    <header>
      <h1>
        {routeOf(root.attributes) || root.name}{" "}
        <span class={failed ? "level-bad" : "muted"}>{failed ? words.failed(status) : status}</span>{" "}
        <span class="nowrap">{duration(root.duration_ns)}</span>
      </h1>
      {verdicts.map((verdict) => (
        <p key={verdict} class="trace-verdict">
          {verdict}.
        </p>
      ))}
      <p class="muted small">
        {root.service} · <time title={bothZones(root.start_ns)}>{clock(root.start_ns)}</time> · {plural(trace.total, ...text.nouns.span)} ·{" "}
        <Rich text={words.id} id={<code>{trace.trace_id}</code>} /> ·{" "}
        <Rich text={words.download} otlp={<Download id={trace.trace_id} format="otlp-json" label={words.otlp} />}
          chrome={<Download id={trace.trace_id} format="chrome" label={words.chrome} />} />
        {isOngoing(trace) && <span class="ongoing">{words.goingOn}</span>}
      </p>
    </header>
  );
}

/** Downloads, also for Perfetto. */
function Download({ id, format, label }: { id: string; format: "otlp-json" | "chrome"; label: string }): JSX.Element {
  const { url } = question("GET traces/{trace_id}/export", { format }, id);
  return <a href={url} download>{label}</a>;
}

function Truncated({ trace, limit }: { trace: TraceData; limit: number }): JSX.Element {
  const more = Math.min(limit * 5, MOST);
  return (
    <p class="notice">
      {words.cut(count(trace.spans.length), count(trace.total))}
      {limit >= MOST ? words.cutMost : words.cutEnd}{" "}
      {limit < MOST && (
        <button type="button" onClick={() => setParams({ limit: String(more) })}>
          {words.load(count(Math.min(more, trace.total)))}
        </button>
      )}
    </p>
  );
}

/** Announces the selected span to screen readers. */
function Announced({ span, traceId }: { span: Span | null; traceId: string }): JSX.Element {
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (span === null) {
      setSaid("");
      return;
    }
    const { title, lines } = describe(span, span.trace_id !== traceId);
    setSaid([title, ...lines].join(". "));
  }, [span === null ? "" : keyOf(span)]);
  return (
    <p class="sr-only" role="status">
      {said}
    </p>
  );
}
