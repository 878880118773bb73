/** The verdict of the overview: is anything wrong, and where to look. */

import type { Finding, Overview, Responses, ServiceHealth } from "../api/types";
import { text } from "../text";
import { count, duration, momentNs, percent, plural } from "./format";

/** `unknown`: not watched, so neither good nor bad. */
export type Level = "good" | "warn" | "bad" | "unknown";

export interface Verdict {
  level: Level;
  text: string;
  /** The worst place, if known. */
  finding: Finding | null;
  /** Time of the newest data, ns since the epoch. */
  untilNs: number | null;
}

/** A verdict with its rank among those of the same kind. */
interface Weighed extends Verdict {
  weight: number;
}

/** Thresholds of blocked time and of p95 queue wait above which users notice. */
export const BLOCKED_WARN = 0.005;
export const BLOCKED_BAD = 0.05;
export const WAIT_WARN_NS = 5e6;
export const WAIT_BAD_NS = 50e6;
/** Threshold of the share of failed requests. */
export const ERRORS_WARN = 0.005;
export const ERRORS_BAD = 0.05;

const RANK: Record<Level, number> = { bad: 0, warn: 1, unknown: 2, good: 3 };

/** The verdicts, the worst first; a single good one if nothing is wrong. */
export function verdictsOf(overview: Overview): Verdict[] {
  const { services, findings } = overview;
  const verdicts: Verdict[] = [blocked, refused, failed, waited].flatMap((judge) =>
    services.flatMap((service) => judge(service, findings)).sort((a, b) => b.weight - a.weight),
  );
  const watched = services.filter((service) => service.watched);
  const others = services.filter((service) => !service.watched);
  const [worst] = overview.findings;
  if (verdicts.length === 0 && worst !== undefined) {
    const said = text.verdicts.calm(plural(overview.findings.length, ...text.nouns.finding));
    verdicts.push({ level: "warn", text: said, finding: worst, untilNs: lastOf(services) });
  } else if (verdicts.length === 0 && watched.length > 0) {
    const said = text.verdicts.good(namesOf(watched), plural(requestsOf(watched), ...text.nouns.request));
    verdicts.push({ level: "good", text: said, finding: null, untilNs: lastOf(watched) });
  }
  if (others.length > 0) {
    const said = text.verdicts.unwatched(namesOf(others), plural(requestsOf(others), ...text.nouns.request));
    verdicts.push({ level: "unknown", text: said, finding: null, untilNs: lastOf(others) });
  }
  return verdicts.sort((a, b) => RANK[a.level] - RANK[b.level]);
}

/** Largest age of the newest data of a service that still sends; its tallies are of whole minutes. */
const ARRIVING_MS = 180_000;

/** Whether a verdict holds now (ms since the epoch), or only until its data ended. */
export function isCurrent(untilNs: number | null, now: number): boolean {
  return untilNs === null || now - untilNs / 1e6 < ARRIVING_MS;
}

function lastOf(services: readonly ServiceHealth[]): number | null {
  const moments = services.map((service) => momentNs(service.last_seen)).filter((moment) => moment !== null);
  return moments.length === 0 ? null : Math.max(...moments);
}

function namesOf(services: readonly ServiceHealth[]): string {
  return services.map(({ service }) => `\`${service}\``).join(", ");
}

function requestsOf(services: readonly ServiceHealth[]): number {
  return services.reduce((sum, service) => sum + service.requests, 0);
}

export function blockedLevel(service: ServiceHealth): Level {
  const share = service.loop_blocked_share;
  return share === null ? "unknown" : level(share, BLOCKED_WARN, BLOCKED_BAD);
}

export function errorLevel(service: ServiceHealth): Level {
  return level(service.requests === 0 ? 0 : service.errors / service.requests, ERRORS_WARN, ERRORS_BAD);
}

export function waitLevel(service: ServiceHealth): Level {
  return level(service.wait_p95_ns, WAIT_WARN_NS, WAIT_BAD_NS);
}

function level(value: number, warn: number, bad: number): Level {
  return value >= bad ? "bad" : value >= warn ? "warn" : "good";
}

/** Number of requests by class of response status, without empty classes. */
export function responsesText(responses: Responses): string {
  const names = Object.keys(text.responseClasses) as (keyof typeof text.responseClasses)[];
  const some = names.filter((name) => responses[name] > 0);
  return some.map((name) => `${text.responseClasses[name]}: ${count(responses[name])}`).join(" · ");
}

function blocked(service: ServiceHealth, findings: readonly Finding[]): Weighed[] {
  const severity = blockedLevel(service);
  const share = service.loop_blocked_share;
  if (severity === "good" || share === null) return [];
  const said = text.verdicts.blocked(service.service, percent(share));
  const finding = worst(service, findings, ["loop_blocked"]);
  return [{ level: severity, text: said, finding, weight: share, untilNs: lastOf([service]) }];
}

function refused(service: ServiceHealth, findings: readonly Finding[]): Weighed[] {
  if (service.refusals === 0) return [];
  const calls = plural(service.refusals, ...text.nouns.call);
  const said = text.verdicts.refused(calls, service.service, plural(service.requests, ...text.nouns.request));
  const finding = worst(service, findings, ["refusal"]);
  return [{ level: "bad", text: said, finding, weight: service.refusals, untilNs: lastOf([service]) }];
}

function failed(service: ServiceHealth): Weighed[] {
  const severity = errorLevel(service);
  if (severity === "good") return [];
  const requests = plural(service.requests, ...text.nouns.request);
  const said = text.verdicts.failed(count(service.errors), requests, service.service);
  const weight = service.errors / service.requests;
  return [{ level: severity, text: said, finding: null, weight, untilNs: lastOf([service]) }];
}

function waited(service: ServiceHealth, findings: readonly Finding[]): Weighed[] {
  const severity = waitLevel(service);
  if (severity === "good") return [];
  const shared = service.shared_waits > 0 ? text.verdicts.shared(count(service.shared_waits)) : "";
  const said = text.verdicts.waits(service.service, duration(service.wait_p95_ns), shared);
  const finding = worst(service, findings, ["contention", "pool_starvation"]);
  return [{ level: severity, text: said, finding, weight: service.wait_p95_ns, untilNs: lastOf([service]) }];
}

/** The API orders by what users lose, so the first of a kind is the worst. */
function worst(service: ServiceHealth, findings: readonly Finding[], kinds: readonly string[]): Finding | null {
  return findings.find((finding) => finding.service === service.service && kinds.includes(finding.kind)) ?? null;
}
