import { expect, it } from "vitest";
import { sharesOf } from "./share";
import { NO_SHARES } from "./samples";

it("keeps what there is, in order, with its share of the request", () => {
  const shares = { ...NO_SHARES, total_ns: 100, wait_ns: 60, query_ns: 15, other_ns: 25 };

  expect(sharesOf({ shares })).toEqual([
    { slice: "query", ns: 15, share: 0.15 },
    { slice: "wait", ns: 60, share: 0.6 },
    { slice: "other", ns: 25, share: 0.25 },
  ]);
});

it("says nothing of a trace without a root", () => {
  expect(sharesOf({ shares: NO_SHARES })).toEqual([]);
});
