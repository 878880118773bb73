/** Is anything wrong, and where to click: the overview in a sentence or two. */

import type { Finding, Overview, ServiceHealth } from "../api/types";
import { text } from "../text";
import { count, duration, percent, plural } from "./format";

export type Level = "good" | "warn" | "bad";

export interface Verdict {
  level: Level;
  text: string;
  /** The worst place, where one is known. */
  finding: Finding | null;
}

/** A verdict with how bad it is among its like. */
interface Weighed extends Verdict {
  weight: number;
}

/** From which share of blocked time, and from which p95 of queue waits, users feel it. */
export const BLOCKED_WARN = 0.005;
export const BLOCKED_BAD = 0.05;
export const WAIT_WARN_NS = 5e6;
export const WAIT_BAD_NS = 50e6;

const RANK: Record<Level, number> = { bad: 0, warn: 1, good: 2 };

/** What to say, the worst first; a single good one where there is nothing to complain of. */
export function verdictsOf(overview: Overview): Verdict[] {
  const { services, findings } = overview;
  const verdicts = [blocked, refused, waited].flatMap((judge) =>
    services.flatMap((service) => judge(service, findings)).sort((a, b) => b.weight - a.weight),
  );
  if (verdicts.length > 0) return verdicts.sort((a, b) => RANK[a.level] - RANK[b.level]);
  const [worst] = overview.findings;
  if (worst !== undefined) {
    const said = text.verdicts.calm(plural(overview.findings.length, ...text.nouns.finding));
    return [{ level: "warn", text: said, finding: worst }];
  }
  if (overview.services.length === 0) return [];
  const names = overview.services.map(({ service }) => `\`${service}\``).join(", ");
  const requests = overview.services.reduce((sum, service) => sum + service.requests, 0);
  const said = text.verdicts.good(names, plural(requests, ...text.nouns.request));
  return [{ level: "good", text: said, finding: null }];
}

export function blockedLevel(service: ServiceHealth): Level {
  return level(service.loop_blocked_share, BLOCKED_WARN, BLOCKED_BAD);
}

export function waitLevel(service: ServiceHealth): Level {
  return level(service.wait_p95_ns, WAIT_WARN_NS, WAIT_BAD_NS);
}

function level(value: number, warn: number, bad: number): Level {
  return value >= bad ? "bad" : value >= warn ? "warn" : "good";
}

function blocked(service: ServiceHealth, findings: readonly Finding[]): Weighed[] {
  const severity = blockedLevel(service);
  if (severity === "good") return [];
  const said = text.verdicts.blocked(service.service, percent(service.loop_blocked_share));
  return [{ level: severity, text: said, finding: worst(service, findings, ["loop_blocked"]), weight: service.loop_blocked_share }];
}

function refused(service: ServiceHealth, findings: readonly Finding[]): Weighed[] {
  if (service.refusals === 0) return [];
  const calls = plural(service.refusals, ...text.nouns.call);
  const said = text.verdicts.refused(calls, service.service, plural(service.requests, ...text.nouns.request));
  return [{ level: "bad", text: said, finding: worst(service, findings, ["refusal"]), weight: service.refusals }];
}

function waited(service: ServiceHealth, findings: readonly Finding[]): Weighed[] {
  const severity = waitLevel(service);
  if (severity === "good") return [];
  const shared = service.shared_waits > 0 ? text.verdicts.shared(count(service.shared_waits)) : "";
  const said = text.verdicts.waits(service.service, duration(service.wait_p95_ns), shared);
  return [{ level: severity, text: said, finding: worst(service, findings, ["contention", "pool_starvation"]), weight: service.wait_p95_ns }];
}

/** The API ranks by what users lose, so the first of the kind is the worst. */
function worst(service: ServiceHealth, findings: readonly Finding[], kinds: readonly string[]): Finding | null {
  return findings.find((finding) => finding.service === service.service && kinds.includes(finding.kind)) ?? null;
}
