/** Small bar charts: a trend beside a name, and a distribution of durations. */

import type { JSX } from "preact";
import type { Bucket } from "../api/types";
import { count, duration } from "../model/format";
import { text } from "../text";

/** Counts per step of time, oldest first. */
export function Sparkline({ values }: { values: readonly number[] }): JSX.Element {
  const peak = values.reduce((most, value) => Math.max(most, value), 0);
  const sum = values.reduce((total, value) => total + value, 0);
  return (
    <span class="spark" role="img" aria-label={text.findings.trend(count(sum), count(peak))} title={text.findings.trend(count(sum), count(peak))}>
      {values.map((value, index) => (
        <i key={index} class={value > 0 ? "some" : ""} style={{ height: `${height(value, peak)}%` }} />
      ))}
    </span>
  );
}

/** Non-zero values are always visible. */
function height(value: number, peak: number): number {
  return value === 0 ? 0 : Math.max(8, (value / peak) * 100);
}

/** Distribution of the cost of occurrences. */
export function Distribution({ buckets }: { buckets: readonly Bucket[] }): JSX.Element {
  const peak = buckets.reduce((most, bucket) => Math.max(most, bucket.count), 0);
  const [first, last] = [buckets[0], buckets.at(-1)];
  return (
    <div class="distribution">
      <ol class="spark wide">
        {buckets.map((bucket) => {
          const said = text.finding.bucket(duration(bucket.low_ns), duration(bucket.high_ns), count(bucket.count));
          return (
            <li key={bucket.low_ns} title={said}>
              <span class="sr-only">{said}</span>
              <i class={bucket.count > 0 ? "some" : ""} style={{ height: `${height(bucket.count, peak)}%` }} />
            </li>
          );
        })}
      </ol>
      <div class="distribution-axis muted small" aria-hidden="true">
        <span>{duration(first?.low_ns ?? 0)}</span>
        <span>{duration(last?.high_ns ?? 0)}</span>
      </div>
    </div>
  );
}
