/** Everything about one span. */

import type { JSX } from "preact";
import * as sem from "../api/semconv";
import type { Attributes, AttributeValue, Span } from "../api/types";
import { describe, holdersOf, type LinkTarget, victimsOf } from "../model/describe";
import { clock, duration, utc } from "../model/format";
import { wordsOf } from "../model/kinds";
import { siteOf, textOf } from "../model/spans";
import { linkTo } from "./location";
import { TraceLink } from "./words";

export function SpanPanel({ span, traceId, onClose }: { span: Span; traceId: string; onClose: () => void }): JSX.Element {
  const ghost = span.trace_id !== traceId;
  const { title, lines } = describe(span, ghost);
  return (
    <aside class="panel" aria-label="Selected span">
      <header>
        <h2>{title}</h2>
        <button type="button" onClick={onClose} aria-label="Close">✕</button>
      </header>
      <ul class="facts">
        {lines.map((line, index) => (
          <li key={index}>{line}</li>
        ))}
      </ul>
      {ghost && (
        <p>
          <TraceLink id={span.trace_id} span={span.span_id}>Open the trace it belongs to</TraceLink>
        </p>
      )}
      <FindingOf span={span} />
      <Targets title="Held by" targets={holdersOf(span)} verb="for" />
      <Targets title="Requests delayed" targets={victimsOf(span)} verb="lost" />
      <AttributeTable title="Attributes" attributes={span.attributes} open />
      <Events span={span} />
      <AttributeTable title="Process" attributes={span.resource} />
      <p class="muted small">
        {span.kind} · {span.scope || "no scope"} · starts {clock(span.start_ns)} ({utc(span.start_ns)}) · lasts{" "}
        {duration(span.duration_ns)} · span <code>{span.span_id}</code>
      </p>
    </aside>
  );
}

function FindingOf({ span }: { span: Span }): JSX.Element | null {
  const kind = textOf(span.attributes, sem.FINDING);
  if (kind === "") return null;
  const q = siteOf(span.attributes).function;
  return (
    <p>
      <a href={linkTo("findings", "", { kind, q, service: span.service })}>All of this finding: {wordsOf(kind).label}</a>
    </p>
  );
}

function Targets({ title, targets, verb }: { title: string; targets: LinkTarget[]; verb: string }): JSX.Element | null {
  if (targets.length === 0) return null;
  return (
    <section>
      <h3>{title}</h3>
      <ul class="targets">
        {targets.map(({ link, text, overlapNs }) => (
          <li key={link.span_id}>
            <TraceLink id={link.trace_id} span={link.span_id}>{text}</TraceLink> {verb} {duration(overlapNs)}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Events({ span }: { span: Span }): JSX.Element | null {
  if (span.events.length === 0) return null;
  return (
    <section>
      <h3>Events</h3>
      {span.events.map((event, index) => (
        <AttributeTable
          key={index}
          title={`${event.name} at ${duration(event.time_ns - span.start_ns)}`}
          attributes={event.attributes}
        />
      ))}
    </section>
  );
}

function AttributeTable(props: { title: string; attributes: Attributes; open?: boolean }): JSX.Element | null {
  const entries = Object.entries(props.attributes).sort(([a], [b]) => a.localeCompare(b));
  if (entries.length === 0) return null;
  return (
    <details open={props.open === true}>
      <summary>
        {props.title} <span class="muted">{entries.length}</span>
      </summary>
      <dl class="attributes">
        {entries.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{valueText(name, value)}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

function valueText(name: string, value: AttributeValue): string {
  if (name.endsWith("_ns") && typeof value === "number") return `${duration(value)} (${value.toLocaleString("en")} ns)`;
  if (Array.isArray(value)) return value.map((item) => valueText("", item)).join("\n");
  if (typeof value === "object" && value !== null) return JSON.stringify(value, null, 1);
  return String(value);
}
