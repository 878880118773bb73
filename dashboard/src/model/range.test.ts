import { describe, expect, it } from "vitest";
import { between, boundsOf, isLive, parseTime, rangeOf, rangeText, shifted, widened, writtenTime } from "./range";
import { parseRoute } from "./route";

const NOW = Date.parse("2026-11-21T14:00:00Z");
const of = (query: string): ReturnType<typeof rangeOf> => rangeOf(parseRoute(`#/overview?${query}`));

describe("rangeOf", () => {
  it("reads relative and absolute times", () => {
    expect(of("since=45m")).toEqual({ since: "45m", until: "" });
    const day = of("since=2026-11-20T00:00:00Z&until=2026-11-21T00:00:00Z");
    expect(boundsOf(day, NOW)).toEqual({ start: NOW - 38 * 3600e3, end: NOW - 14 * 3600e3 });
    expect(isLive(day)).toBe(false);
  });

  it("falls back where an address says nothing sensible", () => {
    for (const query of ["", "since=<script>", "since=2026-13-45T99:00:00Z", "since=1h&until=6h"]) {
      expect(of(query)).toEqual({ since: "1h", until: "" });
    }
  });
});

describe("parseTime", () => {
  it("reads what people write, in the zone they look at", () => {
    expect(parseTime("2026-11-21 13:05", "utc", NOW)).toBe("2026-11-21T13:05:00Z");
    expect(parseTime("13:05:30", "utc", NOW)).toBe("2026-11-21T13:05:30Z");
    expect(parseTime("2026-11-21", "utc", NOW)).toBe("2026-11-21T00:00:00Z");
    expect(parseTime("now-6h", "utc", NOW)).toBe("6h");
    expect(parseTime("now", "local", NOW)).toBe("");
    expect(parseTime("2026-11-21T13:05:00+01:00", "local", NOW)).toBe("2026-11-21T12:05:00Z");
    const local = parseTime("2026-11-21 13:05", "local", NOW);
    expect(Date.parse(local ?? "")).toBe(new Date(2026, 10, 21, 13, 5).getTime());
  });

  it("refuses what is no time", () => {
    for (const slip of ["soon", "2026-02-31", "25:00", "13:99", "6x", "2026-11-21 13"]) {
      expect(parseTime(slip, "utc", NOW)).toBeNull();
    }
  });

  it("reads back what it writes", () => {
    for (const value of ["", "6h", "2026-11-21T13:05:00Z"]) {
      expect(parseTime(writtenTime(value, "utc"), "utc", NOW)).toBe(value);
    }
  });
});

describe("moves", () => {
  it("shifts by half its length, and comes back to now", () => {
    const before = shifted({ since: "2h", until: "" }, -1, NOW);
    expect(before).toEqual({ since: "2026-11-21T11:00:00Z", until: "2026-11-21T13:00:00Z" });
    expect(shifted(before, 1, NOW)).toEqual({ since: "2h", until: "" });
  });

  it("widens to twice the time", () => {
    expect(widened({ since: "1h", until: "" }, NOW)).toEqual({ since: "2h", until: "" });
    const past = between(NOW - 8 * 3600e3, NOW - 6 * 3600e3);
    expect(widened(past, NOW)).toEqual(between(NOW - 9 * 3600e3, NOW - 5 * 3600e3));
  });

  it("never asks for less than a second", () => {
    expect(between(NOW, NOW)).toEqual({ since: "2026-11-21T14:00:00Z", until: "2026-11-21T14:00:01Z" });
  });
});

it("says the range in words", () => {
  expect(rangeText({ since: "1h", until: "" }, "utc")).toBe("Last hour");
  expect(rangeText({ since: "7d", until: "" }, "utc")).toBe("Last 7 days");
  expect(rangeText(between(NOW - 3600e3, NOW), "utc")).toBe("2026-11-21 13:00:00 to 14:00:00 UTC");
});
