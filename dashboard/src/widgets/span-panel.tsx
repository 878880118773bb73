/** All details of one span. */

import type { JSX } from "preact";
import * as sem from "../api/semconv";
import type { Attributes, AttributeValue, Span } from "../api/types";
import { describe, holdersOf, type LinkTarget, victimsOf } from "../model/describe";
import { bothZones, duration } from "../model/format";
import { wordsOf } from "../model/kinds";
import { siteOf, textOf } from "../model/spans";
import { text } from "../text";
import { linkTo } from "./location";
import { Rich } from "./rich";
import { TraceLink } from "./atoms";

const words = text.trace;

export interface SpanPanelProps {
  span: Span;
  traceId: string;
  /** How long the critical path is on it, ns. */
  critical: number;
  onClose: () => void;
}

export function SpanPanel({ span, traceId, critical, onClose }: SpanPanelProps): JSX.Element {
  const isLinked = span.trace_id !== traceId;
  const { title, lines } = describe(span, isLinked);
  return (
    <aside class="panel" aria-label={words.selected}>
      <header>
        <h2>{title}</h2>
        <button type="button" onClick={onClose} aria-label={words.close}>✕</button>
      </header>
      <ul class="facts">
        {lines.map((line, index) => (
          <li key={index}>{line}</li>
        ))}
        {critical > 0 && <li class="critical-fact">{text.span.critical(duration(critical))}</li>}
      </ul>
      {isLinked && (
        <p>
          <TraceLink id={span.trace_id} span={span.span_id}>{words.openOther}</TraceLink>
        </p>
      )}
      <FindingOf span={span} />
      <Targets title={words.heldBy} targets={holdersOf(span)} verb={words.for} />
      <Targets title={words.delayed} targets={victimsOf(span)} verb={words.lost} />
      <AttributeTable title={words.attributes} attributes={span.attributes} open />
      <Events span={span} />
      <AttributeTable title={words.process} attributes={span.resource} />
      <p class="muted small">
        <Rich text={words.facts} kind={span.kind} scope={span.scope || words.noScope} start={bothZones(span.start_ns)}
          length={duration(span.duration_ns)} id={<code>{span.span_id}</code>} />
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
      <a href={linkTo("findings", "", { kind, q, service: span.service })}>{words.allOfFinding(wordsOf(kind).label)}</a>
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
      <h3>{words.events}</h3>
      {span.events.map((event, index) => (
        <AttributeTable
          key={index}
          title={words.eventAt(event.name, duration(event.time_ns - span.start_ns))}
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
