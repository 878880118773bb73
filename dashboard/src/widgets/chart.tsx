/** One series over time. */

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { theme } from "./theme";

export interface ChartProps {
  title: string;
  /** Seconds since the epoch. */
  times: readonly number[];
  values: readonly number[];
  format: (value: number) => string;
  colour: string;
  /** The greatest value that the scale shows at least, so that noise does not look like a mountain. */
  least: number;
  bars?: boolean;
}

const HEIGHT = 132;
/** Charts of one page point at the same moment. */
const SYNC = "series";

export function Chart(props: ChartProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const peak = props.values.reduce((most, value) => Math.max(most, value), 0);
  const data: uPlot.AlignedData = [[...props.times], [...props.values]];
  const latest = useRef(data);
  latest.current = data;
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const chart = new uPlot(optionsOf(props, element), latest.current, element);
    plot.current = chart;
    const sizes = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height: HEIGHT }));
    sizes.observe(element);
    return () => {
      sizes.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, [theme.value, props.title]);
  useEffect(() => plot.current?.setData(data), [props.times, props.values]);
  return (
    <figure class="chart">
      <figcaption>
        {props.title} <span>peak <b>{props.format(peak)}</b></span>
      </figcaption>
      <div ref={box} class="plot" role="img" aria-label={`${props.title} over time, at most ${props.format(peak)}`} />
    </figure>
  );
}

function optionsOf(props: ChartProps, element: HTMLElement): uPlot.Options {
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
    cursor: { sync: { key: SYNC }, drag: { x: false, y: false }, y: false },
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
    plugins: [readout(props.format)],
  };
}

function clockLabel(seconds: number, splits: readonly number[]): string {
  const time = new Date(seconds * 1000);
  const wide = (splits.at(-1) ?? 0) - (splits[0] ?? 0) > 36 * 3600;
  return wide
    ? time.toLocaleDateString("en-GB", { day: "numeric", month: "short" })
    : time.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

/** The value under the pointer, in the corner of the plot. */
function readout(format: (value: number) => string): uPlot.Plugin {
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
        label.textContent = known ? `${new Date(time * 1000).toLocaleTimeString("en-GB")} · ${format(value)}` : "";
      },
    },
  };
}
