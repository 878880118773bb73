/**
 * The lanes of a trace for display: each bar with its span, under the key by which it is selected. The collector
 * assigns spans to lanes and rows. Times are ns from the trace's first span (`originNs`). Independent of pixels.
 */

import * as sem from "../api/semconv";
import type { Category, Lane as LaneData, Span, Trace } from "../api/types";
import { text } from "../text";
import { type Arrow, arrowsOf } from "./arrows";
import { flagOf, keyOf, rootOf } from "./spans";

export interface Bar {
  key: string;
  span: Span;
  kind: Category;
  /** Of another trace: shown because a span of this one waited for it. */
  isLinked: boolean;
  start: number;
  /** End of the queue wait and start of the run; equals `start` except for bridge calls. */
  runStart: number;
  end: number;
  /** 0 is the top row. */
  row: number;
}

/** A stall: nothing else could run on the lane's loop. */
export interface Band {
  key: string;
  span: Span;
  isLinked: boolean;
  start: number;
  end: number;
}

/** A resume delay: the call had returned, and its coroutine waited for the loop. */
export interface Tail {
  key: string;
  span: Span;
  start: number;
  end: number;
}

export interface Lane {
  process: string;
  role: string;
  thread: string;
  rows: number;
  /** By start time, like the others. */
  bars: Bar[];
  bands: Band[];
  tails: Tail[];
}

export interface Timeline {
  originNs: number;
  /** Duration of the trace, which starts at 0. */
  length: number;
  /** The range including linked spans. */
  min: number;
  max: number;
  lanes: Lane[];
  arrows: Arrow[];
  bars: ReadonlyMap<string, Bar>;
  root: Span | null;
}

export function timelineOf(trace: Trace): Timeline {
  const { timeline } = trace;
  const spans = [...trace.spans, ...trace.linked_spans];
  const lanes = timeline.lanes.map((lane) => laneOf(lane, spans, trace.spans.length));
  const bars = lanes.flatMap((lane) => lane.bars);
  const pieces = lanes.flatMap((lane) => [...lane.bars, ...lane.bands]);
  const byKey = new Map(bars.map((bar) => [bar.key, bar]));
  const length = Math.max(timeline.duration_ns, 1);
  return {
    originNs: timeline.origin_ns,
    length,
    min: pieces.reduce((least, piece) => Math.min(least, piece.start), 0),
    max: pieces.reduce((most, piece) => Math.max(most, piece.end), length),
    lanes,
    arrows: arrowsOf(timeline.waits, spans, byKey),
    bars: byKey,
    root: rootOf(trace),
  };
}

/** `own` is the number of the trace's own spans; the rest are linked ones. */
function laneOf(lane: LaneData, spans: readonly Span[], own: number): Lane {
  const piecesOf = <T extends { span: number }, P>(given: readonly T[], piece: (from: T, span: Span) => P): P[] =>
    given.flatMap((from) => {
      const span = spans[from.span];
      return span === undefined ? [] : [piece(from, span)];
    });
  const ends = (start: number, length: number): { start: number; end: number } => ({ start, end: start + length });
  return {
    process: lane.process,
    role: lane.role,
    thread: lane.queue === "" ? lane.thread : text.trace.noThread,
    rows: lane.rows,
    bars: piecesOf(lane.bars, ({ span: at, row, start_ns: start, wait_ns: wait, run_ns: run }, span) => ({
      key: keyOf(span), span, kind: span.category, isLinked: at >= own, ...ends(start, wait + run), runStart: start + wait, row,
    })),
    bands: piecesOf(lane.stalls, ({ span: at, start_ns: start, duration_ns: length }, span) => ({
      key: keyOf(span), span, isLinked: at >= own, ...ends(start, length),
    })),
    tails: piecesOf(lane.resumes, ({ start_ns: start, duration_ns: length }, span) => ({
      key: keyOf(span), span, ...ends(start, length),
    })),
  };
}

/** Whether any part of the trace had not ended when it was reported. */
export function isOngoing(trace: Trace): boolean {
  return trace.spans.some((span) => flagOf(span.attributes, sem.ONGOING));
}
