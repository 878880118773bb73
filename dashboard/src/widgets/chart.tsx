/** One series over time. */

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { zone, zoneOption } from "../model/format";
import { between } from "../model/range";
import { text } from "../text";
import { setRange } from "./location";
import { theme } from "./preferences";
import { Rich } from "./rich";

/** An event marked with a vertical line. */
export interface Marker {
  /** Seconds since the epoch. */
  time: number;
  label: string;
}

export interface ChartProps {
  title: string;
  /** Seconds since the epoch. */
  times: readonly number[];
  values: readonly number[];
  format: (value: number) => string;
  colour: string;
  /** The scale shows at least this value, so that noise does not look large. */
  least: number;
  bars?: boolean;
  markers?: readonly Marker[];
  /** A value marked with a horizontal line. */
  limit?: number;
}

const HEIGHT = 132;
/** The cursor is shared by all charts of a page. */
const SYNC = "series";
/** A shorter drag is a click, CSS pixels. */
const LEAST_DRAG = 8;

export function Chart(props: ChartProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const peak = props.values.reduce((most, value) => Math.max(most, value), 0);
  const data: uPlot.AlignedData = [[...props.times], [...props.values]];
  const latest = useRef({ data, props });
  latest.current = { data, props };
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const chart = new uPlot(optionsOf(props, element, () => latest.current.props.markers ?? []), latest.current.data, element);
    plot.current = chart;
    const sizes = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height: HEIGHT }));
    sizes.observe(element);
    return () => {
      sizes.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, [theme.value, zone.value, props.title]);
  useEffect(() => plot.current?.setData(data), [props.times, props.values, props.markers]);
  return (
    <figure class="chart">
      <figcaption>
        {props.title}{" "}
        <span>
          <Rich text={text.chart.peak} value={<b>{props.format(peak)}</b>} />
        </span>
      </figcaption>
      <div ref={box} class="plot" role="img" title={text.chart.zoom} aria-label={text.chart.label(props.title, props.format(peak))} />
    </figure>
  );
}

function optionsOf(props: ChartProps, element: HTMLElement, markers: () => readonly Marker[]): uPlot.Options {
  const style = getComputedStyle(element);
  const colourOf = (name: string): string => {
    element.style.color = `var(--${name})`;
    const colour = style.color;
    element.style.color = "";
    return colour;
  };
  const axis: uPlot.Axis = {
    stroke: colourOf("muted"),
    grid: { stroke: colourOf("line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  const stroke = colourOf(`${props.colour}-edge`);
  const paths = props.bars === true ? uPlot.paths.bars?.({ size: [0.8, 12] }) : undefined;
  return {
    width: Math.max(element.clientWidth, 80),
    height: HEIGHT,
    legend: { show: false },
    cursor: { sync: { key: SYNC }, drag: { x: true, y: false, setScale: false, dist: LEAST_DRAG }, y: false },
    scales: { y: { range: (_chart, _min, max) => [0, Math.max(max * 1.1, props.least)] } },
    axes: [
      { ...axis, size: 24, space: 70, values: (_chart, splits) => splits.map((seconds) => clockLabel(seconds, splits)) },
      { ...axis, size: 58, space: 26, values: (_chart, splits) => splits.map((value) => props.format(value)) },
    ],
    series: [
      {},
      {
        stroke,
        fill: colourOf(props.colour),
        width: 1.5,
        points: { show: false },
        spanGaps: false,
        ...(paths === undefined ? {} : { paths }),
      },
    ],
    plugins: [readout(props.format, markers), markerLines(markers, colourOf("accent")), rangeBySelection(), ...(props.limit === undefined ? [] : [limitLine(props.limit, colourOf("bad"))])],
  };
}

function clockLabel(seconds: number, splits: readonly number[]): string {
  const time = new Date(seconds * 1000);
  const wide = (splits.at(-1) ?? 0) - (splits[0] ?? 0) > 36 * 3600;
  const timeZone = zoneOption(zone.peek());
  return wide
    ? time.toLocaleDateString("en-GB", { day: "numeric", month: "short", ...timeZone })
    : time.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", ...timeZone });
}

/** A dragged selection becomes the time range. */
function rangeBySelection(): uPlot.Plugin {
  return {
    hooks: {
      setSelect: (chart) => {
        const { left, width } = chart.select;
        if (width < LEAST_DRAG) return;
        const [start, end] = [chart.posToVal(left, "x"), chart.posToVal(left + width, "x")];
        chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        setRange(between(start * 1000, end * 1000));
      },
    },
  };
}

function limitLine(limit: number, colour: string): uPlot.Plugin {
  return {
    hooks: {
      draw: ({ ctx, bbox, valToPos }) => {
        const y = Math.round(valToPos(limit, "y", true)) + 0.5;
        ctx.save();
        ctx.strokeStyle = colour;
        ctx.lineWidth = devicePixelRatio;
        ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
        ctx.restore();
      },
    },
  };
}

/** Dashed lines, each with a flag on top: a release is not a series. */
function markerLines(markers: () => readonly Marker[], colour: string): uPlot.Plugin {
  return {
    hooks: {
      draw: ({ ctx, bbox, valToPos }) => {
        ctx.save();
        ctx.strokeStyle = colour;
        ctx.fillStyle = colour;
        const ratio = devicePixelRatio;
        for (const { time } of markers()) {
          const x = Math.round(valToPos(time, "x", true)) + 0.5;
          if (x < bbox.left || x > bbox.left + bbox.width) continue;
          ctx.lineWidth = ratio;
          ctx.setLineDash([3 * ratio, 3 * ratio]);
          ctx.beginPath();
          ctx.moveTo(x, bbox.top);
          ctx.lineTo(x, bbox.top + bbox.height);
          ctx.stroke();
          ctx.beginPath();
          ctx.moveTo(x, bbox.top);
          ctx.lineTo(x + 7 * ratio, bbox.top + 3 * ratio);
          ctx.lineTo(x, bbox.top + 6 * ratio);
          ctx.fill();
        }
        ctx.restore();
      },
    },
  };
}

/** The value under the pointer, in the corner of the plot; beside a marker, also its label. */
function readout(format: (value: number) => string, markers: () => readonly Marker[]): uPlot.Plugin {
  const label = document.createElement("div");
  label.className = "readout";
  return {
    hooks: {
      init: (chart) => void chart.over.append(label),
      setCursor: (chart) => {
        const index = chart.cursor.idx;
        const time = index === null || index === undefined ? undefined : chart.data[0][index];
        const value = index === null || index === undefined ? undefined : chart.data[1]?.[index];
        const known = time !== undefined && value !== undefined && value !== null;
        const at = chart.cursor.left ?? -1;
        const near = markers().filter((marker) => Math.abs(chart.valToPos(marker.time, "x") - at) < LEAST_DRAG);
        const clock = known ? new Date(time * 1000).toLocaleTimeString("en-GB", zoneOption(zone.peek())) : "";
        label.textContent = known ? [clock, format(value), ...near.map((marker) => marker.label)].join(" · ") : "";
      },
    },
  };
}
