/** Description of a span in a few lines, with waiter and holder: for the tooltip, the panel and the table. */

import * as sem from "../api/semconv";
import type { Span, SpanLink, Trace } from "../api/types";
import { text } from "../text";
import { duration, place, plural } from "./format";
import { roleName } from "./kinds";
import { SLICE_WORDS, type Share, type Slice } from "./share";
import { flagOf, type Phases, linksOf, numberOf, phasesOf, rootOf, routeOf, siteOf, textOf } from "./spans";

const say = text.span;

export interface Description {
  title: string;
  lines: string[];
}

export function describe(span: Span, isLinked: boolean): Description {
  const lines = linesOf(span, isLinked);
  const site = siteText(span);
  if (site !== "") lines.push(say.at(site));
  if (isLinked) lines.push(say.otherTrace(routeOf(span.attributes) || span.trace_id.slice(0, 8)));
  if (flagOf(span.attributes, sem.ONGOING)) lines.push(say.ongoing);
  return { title: span.name, lines };
}

function linesOf(span: Span, isLinked: boolean): string[] {
  switch (span.category) {
    case "bridge":
      return isLinked ? [say.held(duration(phasesOf(span).runNs))] : bridgeLines(span, phasesOf(span));
    case "stall":
      return stallLines(span);
    case "refusal":
      return [span.status_message || say.refused, ...chainOf(span).map((link) => `\u21b3 ${link}`)];
    case "async_to_sync":
      return [say.parked(duration(span.duration_ns))];
    default:
      return [`${say.took(duration(span.duration_ns))}${onLoop(span)}`];
  }
}

function bridgeLines(span: Span, { waitNs, runNs, resumeNs }: Phases): string[] {
  const lines: string[] = [];
  if (waitNs > 0) lines.push(say.waited(duration(waitNs), executorName(span)), ...holderLines(span));
  const ran = duration(runNs);
  lines.push(flagOf(span.attributes, sem.CANCELLED) ? say.cancelled(ran) : say.ran(ran));
  if (resumeNs > 0) lines.push(say.resumed(duration(resumeNs)));
  return lines;
}

/** At most this many holders are listed. */
const HOLDERS_NAMED = 3;

function holderLines(span: Span): string[] {
  const holders = holdersOf(span);
  const lines = holders.slice(0, HOLDERS_NAMED).map((holder) => say.heldBy(holder.text, duration(holder.overlapNs)));
  if (holders.length > HOLDERS_NAMED) lines.push(say.moreHolders(holders.length - HOLDERS_NAMED));
  const idle = numberOf(span.attributes, sem.IDLE_NS) ?? 0;
  if (idle > 0 && holders.length > 0) lines.push(say.idle(duration(idle)));
  return lines;
}

export interface LinkTarget {
  link: SpanLink;
  /** Function, place and route, as far as the link has them. */
  text: string;
  overlapNs: number;
}

/** The calls that held the thread while `span` waited, the longest first. */
export function holdersOf(span: Span): LinkTarget[] {
  return targets(span, sem.HELD_BY);
}

/** The requests that the stall `span` delayed, the longest first. */
export function victimsOf(span: Span): LinkTarget[] {
  return targets(span, sem.DELAYED);
}

function targets(span: Span, kind: string): LinkTarget[] {
  return linksOf(span, kind)
    .map((link) => ({ link, text: targetText(link), overlapNs: numberOf(link.attributes, sem.OVERLAP_NS) ?? 0 }))
    .sort((a, b) => b.overlapNs - a.overlapNs);
}

function targetText(link: SpanLink): string {
  const site = siteOf(link.attributes);
  const name = textOf(link.attributes, sem.LINK_FUNCTION) || site.function;
  const route = routeOf(link.attributes);
  const call = [name, place(site.file, site.line)].filter((part) => part !== "").join(" ");
  if (call === "") return route || link.span_id;
  return route === "" ? call : say.ofRoute(call, route);
}

function stallLines(span: Span): string[] {
  const what = textOf(span.attributes, sem.BLOCKING_OPERATION);
  const lines = [say.loopBlocked(duration(span.duration_ns))];
  if (what !== "") lines.push(say.because(what));
  const cause = textOf(span.attributes, sem.CAUSE);
  if (cause === "cpu") lines.push(say.cpu);
  if (cause === "wait") lines.push(awaitedLine(span));
  const starved = textOf(span.attributes, sem.STARVED_OF);
  if (starved !== "") lines.push(say.starved(say.starvedOf[starved] ?? say.starvedOf["unknown"] ?? ""));
  else if (cause === "unknown") lines.push(say.unknown);
  const counted = countedLine(span);
  if (counted !== "") lines.push(counted);
  const victims = numberOf(span.attributes, sem.FINDING_VICTIMS) ?? victimsOf(span).length;
  const lost = numberOf(span.attributes, sem.FINDING_VICTIMS_NS) ?? 0;
  if (victims > 0) lines.push(say.lost(plural(victims, ...text.nouns.request), duration(lost), victims > 1));
  return lines;
}

/** What the loop's thread waited for: the thread that had to act, and where it was, as far as known. */
function awaitedLine(span: Span): string {
  const name = textOf(span.attributes, sem.AWAITED_THREAD_NAME);
  return say.awaited(name, textOf(span.attributes, sem.AWAITED_SITE));
}

/** The evidence for blocked or starved in one line; "" without counters. */
function countedLine(span: Span): string {
  const measured = numberOf(span.attributes, sem.STALL_MEASURED_NS);
  const thread = numberOf(span.attributes, sem.STALL_THREAD_CPU_NS);
  const process = numberOf(span.attributes, sem.STALL_PROCESS_CPU_NS);
  if (measured === null || thread === null || process === null) return "";
  const delay = numberOf(span.attributes, sem.STALL_DELAY_NS);
  return say.counted(duration(measured), duration(thread), duration(process), delay === null ? "" : duration(delay));
}

/** The calls that led to a refusal, outermost first. */
function chainOf(span: Span): string[] {
  const chain = span.attributes[sem.CHAIN];
  return Array.isArray(chain) ? chain.map(String) : [];
}

function onLoop(span: Span): string {
  const blocking = flagOf(span.attributes, sem.ON_EVENT_LOOP) && ["query", "session"].includes(span.category);
  return blocking ? say.onLoop : "";
}

export function siteText(span: Span): string {
  const { function: name, file, line } = siteOf(span.attributes);
  return [place(file, line), name].filter((part) => part !== "").join(" ");
}

/** `shared thread (ThreadPoolExecutor-0_0)` */
export function executorName(span: Span): string {
  const name = textOf(span.attributes, sem.RUN_THREAD_NAME);
  return `${roleName(textOf(span.attributes, sem.EXECUTOR_ROLE))}${name === "" ? "" : ` (${name})`}`;
}

/** Smallest share of a request of a cause that is listed. */
const WORTH_NAMING = 0.05;

/** The errors and the highest costs of the request, in sentences; [] if asgiscope found none. */
export function verdictsOf(trace: Trace, shares: readonly Share[]): string[] {
  const what = trace.spans.some((span) => span.category === "request") ? text.verdict.request : text.verdict.trace;
  const named = shares.filter(({ slice, share }) => !["other", "run", "query"].includes(slice) && share >= WORTH_NAMING);
  const worst = [...named].sort((a, b) => b.ns - a.ns)[0];
  return [
    refusalText(trace),
    worst === undefined ? "" : causeText(trace, worst.slice, text.verdict.of(duration(worst.ns), what)),
    worst?.slice === "wait" ? "" : longWaitText(trace),
  ].filter((sentence) => sentence !== "");
}

function causeText(trace: Trace, slice: Slice, amount: string): string {
  return CAUSES[slice]?.(trace, amount) ?? text.verdict.other(amount, SLICE_WORDS[slice].meaning);
}

/** Waits during which other calls ran: typical of a full pool. */
function longWaitText(trace: Trace): string {
  const length = rootOf(trace)?.duration_ns ?? 0;
  const waiter = longest(trace.spans, "bridge", (span) => phasesOf(span).waitNs);
  if (waiter === undefined || phasesOf(waiter).waitNs < 2 * WORTH_NAMING * length) return "";
  return text.verdict.longWait(duration(phasesOf(waiter).waitNs), executorName(waiter), heldText(waiter));
}

function heldText(waiter: Span): string {
  const holder = holdersOf(waiter)[0];
  return holder === undefined ? "" : text.verdict.held(holder.text);
}

const CAUSES: Partial<Record<Slice, (trace: Trace, amount: string) => string>> = {
  blocking: blockingText,
  stalled: stalledText,
  wait: waitText,
};

function longest(spans: readonly Span[], kind: string, ns: (span: Span) => number): Span | undefined {
  return spans.filter((span) => span.category === kind).sort((a, b) => ns(b) - ns(a))[0];
}

function refusalText(trace: Trace): string {
  const refusal = trace.spans.find((span) => span.category === "refusal");
  if (refusal === undefined) return "";
  const by = textOf(refusal.attributes, sem.REFUSED_BY) === "asgiref" ? "asgiref" : "Django";
  return text.verdict.refused(by, siteText(refusal));
}

function blockingText(trace: Trace, amount: string): string {
  const stall = longest(trace.spans, "stall", (span) => span.duration_ns);
  const site = stall === undefined ? "" : siteText(stall);
  return text.verdict.blocking(amount, site);
}

function stalledText(trace: Trace, amount: string): string {
  const stall = longest(trace.linked_spans, "stall", (span) => span.duration_ns);
  const site = stall === undefined ? "" : siteText(stall);
  return text.verdict.stalled(amount, site);
}

function waitText(trace: Trace, amount: string): string {
  const waiter = longest(trace.spans, "bridge", (span) => phasesOf(span).waitNs);
  return waiter === undefined ? "" : text.verdict.waited(amount, executorName(waiter), heldText(waiter));
}
