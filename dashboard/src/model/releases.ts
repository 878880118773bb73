/** The comparison of two releases or two periods: which are compared, and how their figures differ. */

import type { Comparison, Release, Side } from "../api/types";
import { text } from "../text";
import { count, duration, percent, rate, significant } from "./format";

export interface Pair {
  service: string;
  environment: string;
  base: string;
  other: string;
}

/** The releases in the URL, else the newest two of the service that last had two; null: compare periods. */
export function pairOf(releases: readonly Release[], service: string, base: string, other: string): Pair | null {
  if (base !== "" && other !== "") return { service, environment: "", base, other };
  for (const newest of releases) {
    if (newest.version === "" || (other !== "" && newest.version !== other)) continue;
    const before = releases.find(
      (each) =>
        each.service === newest.service &&
        each.environment === newest.environment &&
        each.version !== newest.version &&
        each.version !== "" &&
        Date.parse(each.first_seen) < Date.parse(newest.first_seen) &&
        (base === "" || each.version === base),
    );
    if (before !== undefined) {
      return { service: newest.service, environment: newest.environment, base: before.version, other: newest.version };
    }
  }
  return null;
}

export type Trend = "better" | "worse" | "same";

export interface FigureRow {
  name: keyof typeof FIGURES;
  base: string;
  other: string;
  /** Relative change, 0.5: half as much again; null if the base is zero. */
  change: number | null;
  trend: Trend;
}

interface Figure {
  /** Null: not watched. */
  value: (side: Side) => number | null;
  format: (value: number) => string;
  /** Whether an increase is worse; null: neither. */
  worse: boolean | null;
}

const FIGURES = {
  blocked: { value: (side) => side.loop_blocked_share, format: percent, worse: true },
  wait: { value: (side) => side.wait_p95_ns, format: duration, worse: true },
  p50: { value: (side) => side.duration_p50_ns, format: duration, worse: true },
  p95: { value: (side) => side.duration_p95_ns, format: duration, worse: true },
  hops: { value: (side) => side.hops_per_request, format: significant, worse: true },
  errors: { value: (side) => side.error_share, format: percent, worse: true },
  refusals: { value: (side) => side.refusals, format: count, worse: true },
  requests: { value: (side) => side.requests, format: count, worse: null },
  rate: { value: (side) => side.requests_per_second, format: rate, worse: null },
} as const satisfies Record<string, Figure>;

/** Smaller differences are noise. */
const NOTEWORTHY = 0.1;

export function figuresOf({ base, other }: Pick<Comparison, "base" | "other">): FigureRow[] {
  return Object.entries(FIGURES as Record<string, Figure>).map(([name, { value, format, worse }]) => {
    const [before, after] = [value(base), value(other)];
    const known = before !== null && after !== null;
    const change = !known ? null : before === 0 ? (after === 0 ? 0 : null) : after / before - 1;
    const grew = known && (change === null || change > NOTEWORTHY);
    const fell = change !== null && change < -NOTEWORTHY;
    const trend: Trend = worse === null || (!grew && !fell) ? "same" : grew === worse ? "worse" : "better";
    const written = [before, after].map((value) => (value === null ? text.overview.notWatched : format(value)));
    return { name: name as keyof typeof FIGURES, base: written[0] ?? "", other: written[1] ?? "", change, trend };
  });
}
