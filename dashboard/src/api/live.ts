/**
 * Data that stays current: fetched again when something was stored or after a while, and kept while the collector is
 * unreachable. Only while the page is visible.
 */

import { computed, effect, type ReadonlySignal, signal } from "@preact/signals";
import { text } from "../text";
import { ApiError, ask, type Question } from "./client";
import { signInNeeded } from "./session";
import { stored, streaming } from "./stream";

export const POLL_MS = 5_000;
export const SLOWEST_POLL_MS = 30_000;
/** Shortest time between two requests, however often something is stored. */
const LEAST_GAP_MS = 1_000;

/** Since when the collector has not answered (ms since the epoch), or null while it does. */
export const unreachableSince = signal<number | null>(null);
/** When the last answered request was sent, ms since the epoch: a request sent before may fail later. */
let answered = 0;

export interface LiveState<T> {
  /** The last good response; it stays while newer requests fail. */
  data: T | null;
  /** When that response arrived, ms since the epoch. */
  at: number | null;
  error: ApiError | null;
  /** Whether `data` belongs to an earlier request than the current one. */
  stale: boolean;
}

const EMPTY: LiveState<never> = { data: null, at: null, error: null, stale: false };

/** A request that is repeated every POLL_MS while the page is visible, less often while it fails. */
export class Live<T> {
  readonly #state = signal<LiveState<T>>(EMPTY);
  readonly #again: (data: T) => boolean;
  #question: Question<T> | null = null;
  #request: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #askedAt = 0;
  /** Something was stored since the running request was sent. */
  #missed = false;
  readonly #unfollow: () => void;

  /** `again` returns whether a response can still change; if not, it is not requested again. */
  constructor(again: (data: T) => boolean = () => true) {
    this.#again = again;
    document.addEventListener("visibilitychange", this.#onVisibility);
    // Also when the stream ends: then nothing reports new data, or the collector is unreachable.
    const follow = computed(() => `${stored.value} ${streaming.value}`);
    let known = follow.peek();
    let streamed = streaming.peek();
    this.#unfollow = effect(() => {
      if (follow.value === known) return;
      known = follow.value;
      const back = streaming.peek() && !streamed;
      streamed = streaming.peek();
      this.#onStored(back);
    });
  }

  get state(): ReadonlySignal<LiveState<T>> {
    return this.#state;
  }

  /** Send `question` from now on. The data of the previous one stays, marked stale, if `keep` is set. */
  ask(question: Question<T>, keep: boolean): void {
    if (question.url === this.#question?.url) return;
    this.#question = question;
    this.#failures = 0;
    const before = this.#state.peek();
    this.#state.value = keep && before.data !== null ? { ...before, error: null, stale: true } : EMPTY;
    this.refresh();
  }

  /** Request now, without waiting for the next interval. */
  refresh = (): void => {
    this.#unschedule();
    this.#request?.abort();
    if (this.#question === null) return;
    this.#askedAt = Date.now();
    this.#missed = false;
    const request = new AbortController();
    this.#request = request;
    void this.#fetch(this.#question, request);
  };

  stop(): void {
    this.#question = null;
    this.#unschedule();
    this.#request?.abort();
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#unfollow();
  }

  /** While waiting for the next interval: request earlier, and at once if the collector has just come back. */
  #onStored(back: boolean): void {
    this.#missed = true;
    if (this.#timer === undefined) return;
    if (this.#failures === 0) {
      this.#unschedule();
      this.#schedule();
    } else if (back) {
      this.refresh();
    }
  }

  readonly #onVisibility = (): void => {
    if (document.hidden) this.#unschedule();
    else this.refresh();
  };

  async #fetch(question: Question<T>, request: AbortController): Promise<void> {
    const asked = Date.now();
    try {
      const data = await ask(question, request.signal);
      this.#failures = 0;
      answered = Math.max(answered, asked);
      unreachableSince.value = null;
      this.#state.value = { data, at: Date.now(), error: null, stale: false };
      if (!question.settled && this.#again(data)) this.#schedule();
    } catch (error) {
      if (request.signal.aborted) return;
      const problem = error instanceof ApiError ? error : unexpected(error);
      this.#failures += 1;
      if (!problem.unreachable) unreachableSince.value = null;
      else if (asked >= answered) unreachableSince.value ??= Date.now();
      this.#state.value = { ...this.#state.peek(), error: problem };
      this.#schedule();
    }
  }

  #schedule(): void {
    // The user has to sign in first: requests are refused until then.
    if (document.hidden || this.#question === null || signInNeeded.peek()) return;
    this.#timer = setTimeout(this.refresh, this.#patience());
  }

  /** Time until the next request, ms. */
  #patience(): number {
    if (this.#failures > 0) return Math.min(POLL_MS * 2 ** (this.#failures - 1), SLOWEST_POLL_MS);
    if (this.#missed) return Math.max(0, this.#askedAt + LEAST_GAP_MS - Date.now());
    return streaming.peek() && this.#question?.timed !== true ? SLOWEST_POLL_MS : POLL_MS;
  }

  #unschedule(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

function unexpected(error: unknown): ApiError {
  console.error(error);
  const why = error instanceof Error ? error.message : String(error);
  return new ApiError({ error: text.api.unread(why), hint: text.api.unreadHint }, 0, false);
}
