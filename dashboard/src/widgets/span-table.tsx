/** The spans of a trace as a table: the timeline's content for reading, searching and screen readers. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import * as sem from "../api/semconv";
import type { Span } from "../api/types";
import { holdersOf, siteText } from "../model/describe";
import { duration } from "../model/format";
import { roleName } from "../model/kinds";
import { keyOf, phasesOf, textOf } from "../model/spans";
import { text } from "../text";
import { Cell } from "./atoms";

const words = text.trace;

/** Rows rendered at once: thousands would block the page. */
const ROWS = 200;

export interface SpanTableProps {
  spans: readonly Span[];
  traceId: string;
  originNs: number;
  selected: string | null;
  onSelect: (key: string) => void;
}

export function SpanTable(props: SpanTableProps): JSX.Element {
  const [rows, setRows] = useState(ROWS);
  const hidden = props.spans.length - rows;
  return (
    <div class="table-box">
      <table class="cards spans">
        <caption class="sr-only">{words.tableCaption}</caption>
        <thead>
          <tr>
            <th scope="col">{words.columns.span}</th>
            <th scope="col">{words.columns.thread}</th>
            <th scope="col" class="num">{words.columns.starts}</th>
            <th scope="col" class="num">{words.columns.waited}</th>
            <th scope="col" class="num">{words.columns.ran}</th>
            <th scope="col">{words.columns.held}</th>
          </tr>
        </thead>
        <tbody>
          {props.spans.slice(0, rows).map((span) => (
            <SpanRow key={keyOf(span)} span={span} {...props} />
          ))}
        </tbody>
      </table>
      {hidden > 0 && (
        <button type="button" onClick={() => setRows(rows + 5 * ROWS)}>
          {words.showMore(hidden)}
        </button>
      )}
    </div>
  );
}

function SpanRow({ span, traceId, originNs, selected, onSelect }: SpanTableProps & { span: Span }): JSX.Element {
  const key = keyOf(span);
  const bridge = span.category === "bridge";
  const { waitNs, runNs } = bridge ? phasesOf(span) : { waitNs: 0, runNs: span.duration_ns };
  const [holder, ...others] = holdersOf(span);
  return (
    <tr class={key === selected ? "selected" : ""} aria-current={key === selected ? "true" : undefined}>
      <th scope="row" class="what">
        <button type="button" class="link" onClick={() => onSelect(key)}>
          {span.name}
        </button>
        {span.trace_id !== traceId && <span class="tag">{words.otherTrace}</span>}
        {span.status_code === "Error" && <span class="tag tag-bad">{words.error}</span>}
        <div class="muted small">{siteText(span)}</div>
      </th>
      <Cell label={words.columns.thread} text={threadText(span, bridge)} wide />
      <td class="num" data-label={words.columns.starts}>{duration(span.start_ns - originNs)}</td>
      <Cell label={words.columns.waited} text={waitNs > 0 ? duration(waitNs) : ""} />
      <td class="num" data-label={words.columns.ran}>{duration(runNs)}</td>
      <Cell label={words.columns.held} text={[holder?.text ?? "", others.length > 0 ? words.andMore(others.length) : ""].join(" ").trim()} wide />
    </tr>
  );
}

function threadText(span: Span, bridge: boolean): string {
  const role = textOf(span.attributes, bridge ? sem.EXECUTOR_ROLE : sem.THREAD_ROLE);
  const name = textOf(span.attributes, bridge ? sem.RUN_THREAD_NAME : sem.THREAD_NAME);
  return name === "" ? roleName(role) : `${roleName(role)} · ${name}`;
}
