/** The lanes of a trace with their toolbar, minimap, tooltip and keys. */

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Hit } from "../canvas/hits";
import { Minimap } from "../canvas/minimap";
import { ThreadTimeline } from "../canvas/thread-timeline";
import type { CriticalPath } from "../model/critical";
import { describe } from "../model/describe";
import { type Timeline as Model } from "../model/lanes";
import { step } from "../model/search";
import { text } from "../text";
import { Legend } from "./legend";
import { theme } from "./preferences";

const words = text.trace;
const hints = words.keyHints;

export interface TimelineProps {
  timeline: Model;
  selected: string | null;
  /** Search result by start time; null without a search. */
  matches: readonly string[] | null;
  critical: CriticalPath;
  criticalOnly: boolean;
  onCritical: (only: boolean) => void;
  onSelect: (key: string | null) => void;
  onSearch: () => void;
}

interface Pointed {
  hit: Hit;
  x: number;
  y: number;
}

const ZOOM_STEP = 1.5;
const PAN_STEP = 80;
/** Largest height; taller traces scroll. */
const MOST_HEIGHT = 620;

export function Timeline(props: TimelineProps): JSX.Element {
  const scroller = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const strip = useRef<HTMLCanvasElement>(null);
  const view = useRef<ThreadTimeline | null>(null);
  const map = useRef<Minimap | null>(null);
  const [pointed, setPointed] = useState<Pointed | null>(null);
  const [height, setHeight] = useState(200);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    if (canvas.current === null || strip.current === null) return undefined;
    const timeline = new ThreadTimeline(canvas.current, latest.current.timeline, {
      onView: (shown) => map.current?.setView(shown),
      onHover: (hit, x, y) => setPointed(hit === null ? null : { hit, x, y }),
      onSelect: (key) => {
        latest.current.onSelect(key);
        // On a phone the panel that opens may cover the tapped span.
        requestAnimationFrame(() => scroller.current?.scrollIntoView({ block: "nearest" }));
      },
    });
    const minimap = new Minimap(strip.current, latest.current.timeline, (time) => timeline.moveTo(time));
    view.current = timeline;
    map.current = minimap;
    setHeight(timeline.contentHeight);
    return () => {
      timeline.dispose();
      minimap.dispose();
    };
  }, []);
  useEffect(() => {
    view.current?.setTimeline(props.timeline);
    map.current?.setTimeline(props.timeline);
    setHeight(view.current?.contentHeight ?? 200);
  }, [props.timeline]);
  useEffect(() => {
    view.current?.restyle();
    map.current?.restyle();
  }, [theme.value]);
  const found = useMemo(() => (props.matches === null ? null : new Set(props.matches)), [props.matches]);
  useEffect(() => view.current?.setMatches(found), [found]);
  useEffect(() => view.current?.setCritical(props.critical, props.criticalOnly), [props.critical, props.criticalOnly]);
  useEffect(() => {
    const scrollTop = view.current?.select(props.selected) ?? null;
    if (scrollTop !== null) scroller.current?.scrollTo({ top: scrollTop });
  }, [props.selected, height]);

  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = KEYS[event.key];
    if (move === undefined) return;
    event.preventDefault();
    move(view.current as ThreadTimeline, latest.current);
  };

  return (
    <section class="timeline" aria-label={words.timeline}>
      <div class="toolbar">
        <button type="button" onClick={() => view.current?.zoomBy(ZOOM_STEP)} aria-label={words.zoomIn} title={`${words.zoomIn} (+)`}>+</button>
        <button type="button" onClick={() => view.current?.zoomBy(1 / ZOOM_STEP)} aria-label={words.zoomOut} title={`${words.zoomOut} (-)`}>−</button>
        <button type="button" onClick={() => view.current?.fit()} title={words.fitTitle}>{words.fit}</button>
        <button type="button" aria-pressed={props.criticalOnly} title={words.criticalTitle}
          onClick={() => props.onCritical(!props.criticalOnly)}>
          {words.critical}
        </button>
        <Legend />
      </div>
      <canvas ref={strip} class="minimap" aria-hidden="true" />
      <div
        ref={scroller}
        class="lanes"
        tabIndex={0}
        role="application"
        aria-roledescription={words.timelineRole}
        aria-label={words.timelineLabel(props.timeline.lanes.length)}
        aria-describedby="timeline-keys"
        style={{ height: `${Math.min(height, MOST_HEIGHT)}px` }}
        onKeyDown={onKeyDown}
        onScroll={(event) => view.current?.setScroll(event.currentTarget.scrollTop)}
      >
        <div class="lanes-inner" style={{ height: `${height}px` }}>
          <canvas ref={canvas} class="lanes-canvas" style={{ height: `${Math.min(height, MOST_HEIGHT)}px` }} />
        </div>
      </div>
      {pointed !== null && <Tooltip {...pointed} scroller={scroller.current} />}
      <p id="timeline-keys" class="muted small keys">
        <span><kbd>←</kbd> <kbd>→</kbd> {hints.pan}</span> <span><kbd>+</kbd> <kbd>-</kbd> {hints.zoom}</span>{" "}
        <span><kbd>0</kbd> {hints.fit}</span> <span><kbd>↑</kbd> <kbd>↓</kbd> {hints.spans}</span>{" "}
        <span><kbd>Enter</kbd> {hints.fill}</span> <span><kbd>c</kbd> {hints.critical}</span>{" "}
        <span><kbd>/</kbd> {hints.search}</span> <span><kbd>Esc</kbd> {hints.deselect}</span>
      </p>
    </section>
  );
}

const KEYS: Record<string, (view: ThreadTimeline, props: TimelineProps) => void> = {
  ArrowLeft: (view) => view.panBy(-PAN_STEP),
  ArrowRight: (view) => view.panBy(PAN_STEP),
  "+": (view) => view.zoomBy(ZOOM_STEP),
  "=": (view) => view.zoomBy(ZOOM_STEP),
  "-": (view) => view.zoomBy(1 / ZOOM_STEP),
  "0": (view) => view.fit(),
  ArrowDown: (_view, props) => props.onSelect(step(props.timeline, props.matches, props.selected, 1)),
  ArrowUp: (_view, props) => props.onSelect(step(props.timeline, props.matches, props.selected, -1)),
  Enter: (view, props) => view.focus(props.selected),
  c: (_view, props) => props.onCritical(!props.criticalOnly),
  Escape: (_view, props) => props.onSelect(null),
  "/": (_view, props) => props.onSearch(),
};

const TOOLTIP_WIDTH = 340;

function Tooltip({ hit, x, y, scroller }: Pointed & { scroller: HTMLElement | null }): JSX.Element {
  const { title, lines } = describe(hit.span, hit.isLinked);
  const width = scroller?.clientWidth ?? 0;
  const top = (scroller?.offsetTop ?? 0) + y + 18;
  return (
    <div class="tooltip" role="presentation" style={{ left: `${Math.max(0, Math.min(x + 12, width - TOOLTIP_WIDTH))}px`, top: `${top}px` }}>
      <b>{title}</b>
      {lines.map((line, index) => (
        <div key={index}>{line}</div>
      ))}
    </div>
  );
}
