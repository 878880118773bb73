/** Small text components that every view uses. */

import { signal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import type { CallSite, Finding } from "../api/types";
import { ago, bothZones, count, momentNs, place } from "../model/format";
import { wordsOf } from "../model/kinds";
import { text } from "../text";
import { Icon } from "./icon";
import { linkTo } from "./location";

/** Changes once a second, so that "5 s ago" stays correct. */
export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);

/** A moment: how long ago, with local time and UTC in the tooltip. */
export function Ago({ ns }: { ns: number }): JSX.Element {
  return (
    <time dateTime={new Date(ns / 1e6).toISOString()} title={bothZones(ns)}>
      {ago(ns, now.value)}
    </time>
  );
}

/** A moment given as RFC 3339. */
export function AgoText({ at }: { at: string }): JSX.Element {
  const ns = momentNs(at);
  return ns === null ? <span>{at}</span> : <Ago ns={ns} />;
}

export function KindBadge({ kind }: { kind: string }): JSX.Element {
  const words = wordsOf(kind);
  return (
    <span class={`kind kind-${Object.hasOwn(KIND_CLASSES, kind) ? kind : "other"}`} title={words.meaning}>
      <Icon name={kind} />
      {words.label}
    </span>
  );
}

/** The kinds that style.css has a colour for. */
const KIND_CLASSES = {
  loop_blocked: 1, contention: 1, pool_starvation: 1, refusal: 1, sync_middleware: 1, parked_thread: 1, hop_storm: 1,
  stream_read_whole: 1, session_saved: 1, deadlock: 1, connection_wait: 1, connection_left: 1,
  connection_idle: 1,
};

/** The collector's name for everything above its limit of names. */
const OTHER = "(other)";

/** `file.py:41 function`, with the whole path in the tooltip. */
export function CallSiteText({ site }: { site: CallSite }): JSX.Element {
  const where = place(site.file, site.line);
  const whole = site.line > 0 ? `${site.file}:${site.line}` : site.file;
  return (
    <span class="site" title={site.function === OTHER ? text.senders.otherMeaning : whole}>
      {where !== "" && <b>{where}</b>} {site.function}
    </span>
  );
}

export function FindingLink({ finding, children }: { finding: Finding; children?: ComponentChildren }): JSX.Element {
  return <a href={linkTo("finding", finding.id)}>{children ?? <CallSiteText site={finding.call_site} />}</a>;
}

export function TraceLink({ id, span, children }: { id: string; span?: string; children?: ComponentChildren }): JSX.Element {
  return <a href={linkTo("trace", id, span === undefined ? {} : { span })}>{children ?? <code>{id.slice(0, 8)}</code>}</a>;
}

/** A table cell that becomes part of a card on a phone, where empty cells are left out. */
export function Cell(props: { label: string; text?: string; wide?: boolean; children?: ComponentChildren }): JSX.Element {
  const empty = props.text === "" && props.children === undefined;
  return (
    <td class={`${props.wide === true ? "wide" : "num"} ${empty ? "none" : ""}`} data-label={props.label}>
      {empty ? "–" : props.text}
      {props.children}
    </td>
  );
}

/** A note that a list is incomplete; nothing if it is complete. */
export function Cut(props: { shown: number; total: number; order: keyof typeof text.lists.orders }): JSX.Element | null {
  if (props.shown >= props.total) return null;
  return <p class="muted small cut">{text.lists.cut(text.lists.orders[props.order], count(props.shown), count(props.total))}</p>;
}

/** A share from 0 to 1 as a small bar beside its number. */
export function Meter({ share, level }: { share: number; level?: string }): JSX.Element {
  return (
    <span class={`meter ${level ?? ""}`} aria-hidden="true">
      <i style={{ width: `${Math.min(Math.max(share, 0), 1) * 100}%` }} />
    </span>
  );
}
