import { expect, it } from "vitest";
import type { SenderClock } from "../api/types";
import { senderNotes, wrongClocks } from "./senders";
import { WELL } from "./store.samples";

const NOW = Date.parse("2026-11-30T12:00:00Z") * 1e6;
const HOUR = 3600e9;

function clock(offset: number, of: Partial<SenderClock> = {}): SenderClock {
  return {
    service: "shop", environment: "", host: "web-1", instance: "1", offset_ns: offset, newest_ns: NOW + offset, received_ns: NOW, ...of,
  };
}

it("names the host, how far its clock is off, and where its data is", () => {
  const [wrong] = wrongClocks({ ...WELL, clocks: [clock(HOUR)], clocks_total: 1 });
  expect(wrong?.said.replaceAll("\u202f", " ")).toBe("The clock of shop on web-1 is 1 h ahead of the collector's.");
  expect(wrong?.range).toEqual({ since: "2026-11-30T12:00:00Z", until: "2026-11-30T13:00:00Z" });
});

it("says one thing of a host with many processes, and counts the hosts that are not named", () => {
  const clocks = Array.from({ length: 14 }, (_, n) => clock(-HOUR, { host: `web-${n % 7}`, instance: String(n) }));
  const status = { ...WELL, clocks, clocks_total: 14 };
  expect(wrongClocks(status)).toHaveLength(5);
  expect(senderNotes(status)).toEqual(["The clocks of 2 more are off."]);
});

it("says how many names are summed as (other)", () => {
  expect(senderNotes({ ...WELL, other_keys: { route: 1200, "call site": 7 } })).toEqual([
    "1,200 routes of one minute are more than are kept apart: they are summed as (other), the most expensive keep their names.",
    "7 call sites of one minute are more than are kept apart: they are summed as (other), the most expensive keep their names.",
  ]);
});
