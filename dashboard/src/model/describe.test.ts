import { describe as group, expect, it } from "vitest";
import type { Shares } from "../api/types";
import * as sem from "../api/semconv";
import { describe, holdersOf, verdictsOf } from "./describe";
import { bridge, heldBy, LOOP, MS, NO_SHARES, OTHER_ID, request, span, trace } from "./samples";
import { sharesOf } from "./share";

const lines = (...args: Parameters<typeof describe>): string[] => describe(...args).lines.map((line) => line.replaceAll("\u202f", " "));

group("describe", () => {
  it("names waiter, thread and holders of a wait, the longest first", () => {
    const long = bridge("export", -50, [0, 80, 0], 2, { trace_id: OTHER_ID });
    const short = bridge("import", 31, [0, 10, 0], 2, { trace_id: OTHER_ID });
    const call = bridge("load", 0, [40, 3, 2], 2, { links: [heldBy(short, 9), heldBy(long, 30)] });

    expect(describe(call, false).title).toBe("sync_to_async shop.load");
    expect(lines(call, false)).toEqual([
      "Waited 40 ms for the shared thread (pool-2)",
      "held by shop.holder for 30 ms",
      "held by shop.holder for 9 ms",
      "Ran 3 ms",
      "Resume delay 2 ms: it had returned, the loop was busy",
    ]);
    expect(holdersOf(call).map(({ link }) => link.span_id)).toEqual([long.span_id, short.span_id]);
  });

  it("does not list dozens of holders", () => {
    const holders = Array.from({ length: 12 }, (_, turn) => bridge("x", turn, [0, 1, 0], 2));
    const call = bridge("load", 0, [40, 3, 0], 2, { links: holders.map((holder, turn) => heldBy(holder, 12 - turn)) });

    expect(lines(call, false)).toContain("and 9 more holders");
  });

  it("says of a linked span what it did to this trace, and whose it is", () => {
    const linkedSpan = bridge("export", 0, [5, 80, 3], 2, {
      trace_id: OTHER_ID,
      attributes: { [sem.HTTP_ROUTE]: "reports/export", [sem.HTTP_METHOD]: "POST" },
    });

    expect(lines(linkedSpan, true)).toEqual(["Held the thread for 80 ms", "Of another trace: POST reports/export"]);
  });

  it("says which thread the loop waited for, and what the system counted", () => {
    const stall = span("event_loop blocked", 0, 3000, {
      category: "stall",
      attributes: {
        ...LOOP,
        [sem.CAUSE]: "wait",
        [sem.AWAITED_THREAD_NAME]: "reports_0",
        [sem.AWAITED_SITE]: "report (shop/views.py:12)",
        [sem.STALL_MEASURED_NS]: 3e9,
        [sem.STALL_THREAD_CPU_NS]: 1e6,
        [sem.STALL_PROCESS_CPU_NS]: 80e6,
        [sem.STALL_DELAY_NS]: 2e6,
      },
    });

    expect(lines(stall, false)).toEqual([
      "The event loop was blocked for 3 s",
      "The loop waited for thread reports_0, which was at report (shop/views.py:12)",
      "In 3 s, processor time of its thread 1 ms, of the process 80 ms; ready without a processor 2 ms",
    ]);
  });

  it("blames nobody for a starved loop", () => {
    const stall = span("event_loop blocked", 0, 300, {
      category: "stall",
      attributes: { ...LOOP, [sem.CAUSE]: "unknown", [sem.STARVED_OF]: "gil" },
    });

    expect(lines(stall, false)).toEqual([
      "The event loop was blocked for 300 ms",
      "Nobody is to blame: the loop was ready and another thread had the interpreter (GIL)",
    ]);
  });

  it("says what blocked the loop, where, and who suffered", () => {
    const stall = span("event_loop blocked", 0, 120, {
      category: "stall",
      attributes: {
        ...LOOP,
        [sem.BLOCKING_OPERATION]: "SELECT shop_product",
        [sem.CODE_FILE]: "shop/views.py",
        [sem.CODE_LINE]: 41,
        [sem.CODE_FUNCTION]: "list_products",
        [sem.FINDING_VICTIMS]: 3,
        [sem.FINDING_VICTIMS_NS]: 250e6,
      },
    });

    expect(lines(stall, false)).toEqual([
      "The event loop was blocked for 120 ms",
      "because of SELECT shop_product",
      "3 requests lost 250 ms together",
      "at shop/views.py:41 list_products",
    ]);
  });
});

group("verdictsOf", () => {
  /** Of a request of 100 ms; `parts` in ms as the collector sums them. */
  const verdict = (parts: Partial<Shares>, ...args: Parameters<typeof trace>): string => {
    const inNs = Object.entries(parts).map(([name, ms]) => [name, ms * MS]);
    const shares = { ...NO_SHARES, total_ns: 100 * MS, ...Object.fromEntries(inNs) };
    return verdictsOf(trace(...args), sharesOf({ shares })).join(". ").replaceAll("\u202f", " ");
  };

  it("names the holder where the request mostly waited", () => {
    const holder = bridge("export", -50, [0, 130, 0], 2, { trace_id: OTHER_ID });
    const call = bridge("load", 0, [80, 10, 0], 2, { links: [heldBy(holder, 80)] });

    expect(verdict({ wait_ns: 80, run_ns: 10 }, [request(100), call], [holder])).toBe(
      "For 80 ms of this request, calls waited for the shared thread (pool-2), held by shop.holder",
    );
  });

  it("names the line where another request blocked the loop", () => {
    const stall = span("event_loop blocked", 10, 60, {
      category: "stall",
      trace_id: OTHER_ID,
      attributes: { ...LOOP, [sem.CODE_FILE]: "shop/views.py", [sem.CODE_LINE]: 41 },
    });

    expect(verdict({ stalled_ns: 60 }, [request(100)], [stall])).toBe(
      "For 60 ms of this request, other requests blocked the event loop, most at shop/views.py:41",
    );
  });

  it("begins with a refusal, for that request failed", () => {
    const refusal = span("async_unsafe refused", 5, 0, {
      category: "refusal",
      attributes: { ...LOOP, [sem.CODE_FILE]: "a.py", [sem.CODE_LINE]: 3, [sem.CODE_FUNCTION]: "f", [sem.CHAIN]: ["x", "y"] },
      status_message: "You cannot call this",
    });

    expect(verdict({ other_ns: 100 }, [request(100), refusal])).toBe("Django refused synchronous work in async code at a.py:3 f");
    expect(lines(refusal, false)).toEqual(["You cannot call this", "\u21b3 x", "\u21b3 y", "at a.py:3 f"]);
  });

  it("names a full pool, though other calls ran while these waited", () => {
    const holder = bridge("thumbnail", 0, [0, 90, 0], 2);
    const call = bridge("thumbnail", 5, [60, 10, 0], 3, { links: [heldBy(holder, 60)] });

    expect(verdict({ run_ns: 90 }, [request(100), holder, call])).toBe("Calls waited up to 60 ms for the shared thread (pool-3), held by shop.holder");
  });

  it("is silent where nothing cost much", () => {
    expect(verdict({ wait_ns: 1, run_ns: 90 }, [request(100), bridge("load", 0, [1, 90, 0], 2)])).toBe("");
  });
});
