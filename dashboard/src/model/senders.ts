/** Warnings about senders: wrong clocks, and more names than are kept. */

import type { SenderClock, StatusOutput } from "../api/types";
import { text } from "../text";
import { count, duration } from "./format";
import { between, type TimeRange } from "./range";

const words = text.senders;
/** Above this number, only their count is shown. */
const CLOCKS_SHOWN = 5;
const HOUR_MS = 3_600_000;

export interface WrongClock {
  said: string;
  service: string;
  /** The last hour of its data, by its own clock. */
  range: TimeRange;
}

/** The wrong clocks, one per service and host. */
export function wrongClocks({ clocks }: StatusOutput): WrongClock[] {
  const found = new Map<string, WrongClock>();
  for (const clock of clocks) {
    const who = nameOf(clock);
    if (found.size === CLOCKS_SHOWN || found.has(who)) continue;
    const by = duration(Math.abs(clock.offset_ns));
    const newest = clock.newest_ns / 1e6;
    found.set(who, {
      said: clock.offset_ns > 0 ? words.ahead(who, by) : words.behind(who, by),
      service: clock.service,
      range: between(newest - HOUR_MS, newest),
    });
  }
  return [...found.values()];
}

/** Further warnings: the number of other clocks, and of names that were combined. */
export function senderNotes(status: StatusOutput): string[] {
  const named = new Set(status.clocks.map(nameOf));
  const more = named.size - CLOCKS_SHOWN + status.clocks_total - status.clocks.length;
  const others = Object.entries(status.other_keys).map(([kind, keys]) => words.other(count(keys), words.kinds[kind] ?? kind));
  return more > 0 ? [words.more(count(more)), ...others] : others;
}

function nameOf({ service, host }: SenderClock): string {
  const named = service === "" ? words.unnamed : service;
  return host === "" ? named : words.host(named, host);
}
