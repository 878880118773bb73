/** Word from the collector as it comes: that something was stored, and what waits right now. */

import { signal } from "@preact/signals";
import { parseInert } from "./inert";
import type { Live } from "./schema";

/** `models.Changed`, which only the stream carries: the collector's clock, and when it stored anything last. */
interface Changed {
  now_ns: number;
  stored_ns: number | null;
}

/** Counts up with each word that something was stored. */
export const stored = signal(0);
/** When anything was stored last, ms since the epoch by this machine's clock; null: nothing was, or nobody said. */
export const storedAt = signal<number | null>(null);
/** Whether such words come; while they do not, pages ask by themselves. */
export const streaming = signal(false);
/** What waits right now; null until the collector said. */
export const waitingNow = signal<Live | null>(null);

/** ms until a stream that was refused is tried again; one that broke off is taken up by the browser itself. */
const RETRY_MS = 15_000;

/** Listen while the page is seen; answers what ends it. */
export function follow(query: Readonly<Record<string, string>>): () => void {
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""));
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const close = (): void => {
    clearTimeout(timer);
    source?.close();
    source = null;
    streaming.value = false;
  };
  const open = (): void => {
    close();
    if (document.hidden) return;
    source = new EventSource(`api/live?${search}`);
    source.addEventListener("open", () => (streaming.value = true));
    source.addEventListener("changed", (event: MessageEvent<string>) => {
      const { now_ns: nowNs, stored_ns: storedNs } = parseInert(event.data) as Changed;
      storedAt.value = storedNs === null ? null : Date.now() - (nowNs - storedNs) / 1e6;
      stored.value += 1;
    });
    source.addEventListener("waiting", (event: MessageEvent<string>) => {
      waitingNow.value = parseInert(event.data) as Live;
    });
    source.addEventListener("error", () => {
      streaming.value = false;
      if (source?.readyState === EventSource.CLOSED) timer = setTimeout(open, RETRY_MS);
    });
  };

  document.addEventListener("visibilitychange", open);
  waitingNow.value = null;
  open();
  return () => {
    document.removeEventListener("visibilitychange", open);
    close();
  };
}
