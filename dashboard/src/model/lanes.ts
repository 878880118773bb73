/**
 * A trace as lanes, one a thread: what ran on it, what waited for it, what blocked it.
 *
 * Times are nanoseconds from the trace's first span (`originNs`). Knows no pixels.
 */

import * as sem from "../api/semconv";
import type { Span, Trace } from "../api/types";
import { type Arrow, arrowsOf } from "./arrows";
import { type Box, type Nested, pack } from "./pack";
import { flagOf, keyOf, kindOf, phasesOf, processOf, rootOf, type SpanKind, textOf } from "./spans";

export interface Bar extends Box {
  key: string;
  span: Span;
  kind: SpanKind;
  /** Of another trace: shown because a span of this one waited for it. */
  ghost: boolean;
  /** Where the queue wait ends and the run starts; equals `start` but for bridge calls. */
  runStart: number;
}

/** A stall: nothing else could run on the lane's loop. */
export interface Band {
  key: string;
  span: Span;
  ghost: boolean;
  start: number;
  end: number;
}

/** A resume delay: the call had returned, its coroutine waited for the loop. */
export interface Tail {
  key: string;
  span: Span;
  start: number;
  end: number;
}

export interface Lane {
  key: string;
  process: string;
  role: string;
  thread: string;
  rows: number;
  /** By start time. */
  bars: Bar[];
  bands: Band[];
  tails: Tail[];
}

export interface Timeline {
  originNs: number;
  /** Length of the trace; it lies from 0 to here. */
  length: number;
  /** How far ghosts reach out on both sides. */
  min: number;
  max: number;
  lanes: Lane[];
  arrows: Arrow[];
  bars: ReadonlyMap<string, Bar>;
  root: Span | null;
}

/** From the top of the page down. */
const ROLE_ORDER = ["event_loop", "request", "shared", "parent", "pool", "main", "other", ""];
/** Deeper nesting than this is drawn at this depth. */
const MAX_DEPTH = 60;

export function timelineOf(trace: Trace): Timeline {
  const spans = latest(trace.spans);
  const own = new Set(spans.map(keyOf));
  const ghosts = latest(trace.ghosts).filter((ghost) => !own.has(keyOf(ghost)));
  const root = rootOf(spans);
  const originNs = spans.reduce((least, span) => Math.min(least, span.start_ns), root?.start_ns ?? 0);
  const lanes = new Lanes(originNs, [...spans, ...ghosts]);
  for (const span of spans) lanes.add(span, false);
  for (const ghost of ghosts) lanes.add(ghost, true);
  const sorted = lanes.finish(root === null ? "" : processOf(root));
  const length = spans.reduce((most, span) => Math.max(most, span.start_ns + span.duration_ns - originNs), 0);
  const pieces = sorted.flatMap((lane) => [...lane.bars, ...lane.bands]);
  return {
    originNs,
    length: Math.max(length, 1),
    min: pieces.reduce((least, piece) => Math.min(least, piece.start), 0),
    max: pieces.reduce((most, piece) => Math.max(most, piece.end), Math.max(length, 1)),
    lanes: sorted,
    arrows: arrowsOf(spans, originNs, lanes.bars),
    bars: lanes.bars,
    root,
  };
}

/** What was reported while it lasted comes again when it ends: the longest report of a span counts. */
function latest(spans: readonly Span[]): Span[] {
  const byKey = new Map<string, Span>();
  for (const span of spans) {
    const known = byKey.get(keyOf(span));
    if (known === undefined || known.duration_ns <= span.duration_ns) byKey.set(keyOf(span), span);
  }
  return [...byKey.values()];
}

class Lanes {
  readonly bars = new Map<string, Bar>();
  readonly #byKey = new Map<string, Lane>();
  readonly #laneOf = new Map<string, Lane>();
  readonly #spans: ReadonlyMap<string, Span>;
  readonly #queues: ReadonlyMap<string, string>;
  readonly #originNs: number;

  constructor(originNs: number, spans: readonly Span[]) {
    this.#originNs = originNs;
    this.#spans = new Map(spans.map((span) => [keyOf(span), span]));
    this.#queues = threadsOfQueues(spans);
  }

  add(span: Span, ghost: boolean): void {
    const kind = kindOf(span);
    const key = keyOf(span);
    const start = span.start_ns - this.#originNs;
    const end = start + span.duration_ns;
    if (kind === "stall") {
      this.#homeOf(span).bands.push({ key, span, ghost, start, end });
    } else if (kind === "bridge") {
      this.#addBridge(span, ghost, start);
    } else {
      this.#place(this.#homeOf(span), { key, span, kind, ghost, start, end, runStart: start, row: 0 });
    }
  }

  #addBridge(span: Span, ghost: boolean, start: number): void {
    const key = keyOf(span);
    const { waitNs, runNs, resumeNs } = phasesOf(span);
    const runStart = start + waitNs;
    const end = runStart + runNs;
    // What a ghost waited for itself says nothing about this trace: only its run held the thread.
    this.#place(this.#runLaneOf(span), {
      key, span, kind: "bridge", ghost, start: ghost ? runStart : start, end, runStart, row: 0,
    });
    if (!ghost && resumeNs > 0) this.#homeOf(span).tails.push({ key, span, start: end, end: end + resumeNs });
  }

  #place(lane: Lane, bar: Bar): void {
    lane.bars.push(bar);
    this.bars.set(bar.key, bar);
    this.#laneOf.set(bar.key, lane);
  }

  /** The lane of the thread that made the span. */
  #homeOf(span: Span): Lane {
    const thread = textOf(span.attributes, sem.THREAD_ID);
    const role = textOf(span.attributes, sem.THREAD_ROLE);
    return this.#lane(processOf(span), thread, role, textOf(span.attributes, sem.THREAD_NAME));
  }

  /** The lane of the thread that a bridge call ran on, or would have: it waits there. */
  #runLaneOf(span: Span): Lane {
    const role = textOf(span.attributes, sem.EXECUTOR_ROLE);
    const queue = `${processOf(span)}#${textOf(span.attributes, sem.EXECUTOR_ID)}`;
    const thread = textOf(span.attributes, sem.RUN_THREAD_ID) || this.#queues.get(queue);
    const name = textOf(span.attributes, sem.RUN_THREAD_NAME);
    if (thread !== undefined) return this.#lane(processOf(span), thread, role, name);
    return this.#lane(queue, "", role, "no thread yet");
  }

  #lane(process: string, thread: string, role: string, name: string): Lane {
    const key = `${process}|${thread}`;
    let lane = this.#byKey.get(key);
    if (lane === undefined) {
      lane = { key, process: process.split("#")[0] ?? process, role, thread: name, rows: 0, bars: [], bands: [], tails: [] };
      this.#byKey.set(key, lane);
    }
    if (rank(role) < rank(lane.role)) lane.role = role;
    if (lane.thread === "") lane.thread = name;
    return lane;
  }

  finish(firstProcess: string): Lane[] {
    const lanes = [...this.#byKey.values()];
    for (const lane of lanes) {
      const roots = this.#nest(lane);
      // Requests of others are there because this trace delayed them: they stand below what did it.
      const victims = roots.filter(({ box }) => box.ghost && box.kind === "request");
      lane.rows = pack(victims, pack(roots.filter((node) => !victims.includes(node))));
      lane.bars.sort((a, b) => a.start - b.start);
      lane.bands.sort((a, b) => a.start - b.start);
    }
    const first = (lane: Lane): number => lane.bars[0]?.start ?? lane.bands[0]?.start ?? 0;
    return lanes.sort(
      (a, b) =>
        Number(b.process === firstProcess) - Number(a.process === firstProcess) ||
        a.process.localeCompare(b.process) ||
        rank(a.role) - rank(b.role) ||
        first(a) - first(b),
    );
  }

  /** The bars of a lane, each below its nearest ancestor on the same lane. */
  #nest(lane: Lane): Nested<Bar>[] {
    const nodes = new Map(lane.bars.map((bar) => [bar.key, { box: bar, children: [] as Nested<Bar>[] }]));
    const depths = new Map<string, number>();
    const roots: Nested<Bar>[] = [];
    // Parents come before their children by start time; a child that does not stays a root.
    for (const node of [...nodes.values()].sort((a, b) => a.box.start - b.box.start)) {
      const parent = node.box.ghost ? null : this.#ancestorOn(lane, node.box.span);
      const depth = parent === null ? undefined : depths.get(parent);
      const above = parent === null ? undefined : nodes.get(parent);
      depths.set(node.box.key, depth === undefined ? 0 : depth + 1);
      if (above === undefined || depth === undefined || depth >= MAX_DEPTH) roots.push(node);
      else above.children.push(node);
    }
    return roots;
  }

  #ancestorOn(lane: Lane, span: Span): string | null {
    const seen = new Set<string>();
    let parent = span.parent_span_id;
    while (parent !== "" && !seen.has(parent)) {
      seen.add(parent);
      const key = `${span.trace_id}/${parent}`;
      if (this.#laneOf.get(key) === lane) return key;
      parent = this.#spans.get(key)?.parent_span_id ?? "";
    }
    return null;
  }
}

/** The thread of each single-thread queue, from the calls that did run. */
function threadsOfQueues(spans: readonly Span[]): Map<string, string> {
  const threads = new Map<string, string>();
  for (const span of spans) {
    const thread = textOf(span.attributes, sem.RUN_THREAD_ID);
    const queue = textOf(span.attributes, sem.EXECUTOR_ID);
    if (thread !== "" && queue !== "" && textOf(span.attributes, sem.EXECUTOR_ROLE) !== "pool") {
      threads.set(`${processOf(span)}#${queue}`, thread);
    }
  }
  return threads;
}

function rank(role: string): number {
  const index = ROLE_ORDER.indexOf(role);
  return index < 0 ? ROLE_ORDER.length - 2 : index;
}

/** Whether anything of the trace had not ended when it was reported. */
export function isOngoing(trace: Trace): boolean {
  return trace.spans.some((span) => flagOf(span.attributes, sem.ONGOING));
}
