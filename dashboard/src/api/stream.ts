/** Server-sent events of the collector: that something was stored, and the current waits. */

import { signal } from "@preact/signals";
import { parseSanitized } from "./sanitize";
import type { Live } from "./schema";

/** `models.Changed`, which only the stream has: the collector's clock, and when it last stored anything. */
interface Changed {
  now_ns: number;
  stored_ns: number | null;
}

/** Increases with each event that something was stored. */
export const stored = signal(0);
/** When anything was last stored, ms since the epoch by this machine's clock; null: nothing yet, or unknown. */
export const storedAt = signal<number | null>(null);
/** Whether the stream is connected; otherwise pages poll. */
export const streaming = signal(false);
/** The current waits; null until the collector has sent them. */
export const waitingNow = signal<Live | null>(null);

/** Time until a refused stream is tried again, ms; the browser itself reconnects one that was interrupted. */
const RETRY_MS = 15_000;

/** Follow the stream while the page is visible; returns a function that ends it. */
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
      const { now_ns: nowNs, stored_ns: storedNs } = parseSanitized(event.data) as Changed;
      storedAt.value = storedNs === null ? null : Date.now() - (nowNs - storedNs) / 1e6;
      stored.value += 1;
    });
    source.addEventListener("waiting", (event: MessageEvent<string>) => {
      waitingNow.value = parseSanitized(event.data) as Live;
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
