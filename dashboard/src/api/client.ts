/** JSON requests to the collector that serves this page. */

import { text } from "../text";
import { parseSanitized } from "./sanitize";
import type { Endpoints, Problem } from "./schema";
import { signInNeeded } from "./session";

const TIMEOUT_MS = 20_000;

/** Why a request gave no data, and what to do: the collector's own message if there is one. */
export class ApiError extends Error {
  readonly hint: string;
  /** Whether the collector could not be reached, as opposed to answering with an error. */
  readonly unreachable: boolean;
  /** HTTP status, 0 if none came. */
  readonly status: number;

  constructor(problem: Problem, status: number, unreachable: boolean) {
    super(problem.error);
    this.hint = problem.hint;
    this.status = status;
    this.unreachable = unreachable;
  }
}

type Of<M extends string> = Extract<keyof Endpoints, `${M} ${string}`>;
export type Readable = Of<"GET">;
export type Writable = Of<"POST"> | Of<"PUT"> | Of<"DELETE"> | Of<"PATCH">;
/** Names are the API's; values may be any text from the URL, which the collector validates. '' means no filter. */
export type Query<E extends keyof Endpoints> = {
  [K in keyof Endpoints[E]["query"]]?: Endpoints[E]["query"][K] | string | undefined;
};

/** A GET request to the API, and for the compiler the type of its response. */
export interface Question<T> {
  readonly url: string;
  /** Concerns a range of the past: the response does not change. */
  readonly settled: boolean;
  /** The response changes with time even if nothing is stored: an alert that fires or is resolved. */
  readonly timed: boolean;
  readonly answer?: T;
}

/** The request GET `endpoint`; `ids` fill the placeholders in its path. Empty values are left out. */
export function question<E extends Readable>(
  endpoint: E,
  query: Query<E>,
  ...ids: readonly string[]
): Question<Endpoints[E]["answer"]> {
  const settled = "until" in query && query.until !== "";
  return { url: urlOf(endpoint, query, ids), settled, timed: endpoint.startsWith("GET alerts") };
}

/** Path and query relative to the page, so that it works below a path prefix. */
export function urlOf(endpoint: string, query: object, ids: readonly string[]): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query) as [string, unknown][]) {
    const values = Array.isArray(value) ? value : [value];
    for (const each of values) if (each !== undefined && each !== "") search.append(name, String(each));
  }
  let at = 0;
  const path = (endpoint.split(" ")[1] ?? "").replace(/\{\w+\}/gu, () => encodeURIComponent(ids[at++] ?? ""));
  const asked = search.toString();
  return `api/${path}${asked === "" ? "" : `?${asked}`}`;
}

/** The response of GET `url`. Rejects with an ApiError, or with an AbortError if `signal` fires first. */
export async function getJson(url: string, signal: AbortSignal): Promise<unknown> {
  return request(url, { headers: { accept: "application/json" } }, signal);
}

/** Send one request. Rejects as `getJson` does. */
export async function ask<T>(asked: Question<T>, signal: AbortSignal): Promise<T> {
  return (await getJson(asked.url, signal)) as T;
}

/** Send a change. Rejects as `getJson` does. */
export async function send<E extends Writable>(
  endpoint: E,
  body: Endpoints[E]["body"],
  ...ids: readonly string[]
): Promise<Endpoints[E]["answer"]> {
  const json = body === undefined ? {} : { body: JSON.stringify(body) };
  const headers = { accept: "application/json", "content-type": "application/json" };
  const method = String(endpoint).split(" ")[0] ?? "POST";
  return (await request(urlOf(endpoint, {}, ids), { method, headers, ...json }, new AbortController().signal)) as
    Endpoints[E]["answer"];
}

async function request(url: string, init: RequestInit, signal: AbortSignal): Promise<unknown> {
  let response: Response;
  let body: string;
  try {
    response = await fetch(url, { ...init, signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]) });
    body = await response.text();
  } catch (cause) {
    signal.throwIfAborted();
    throw new ApiError(whyUnreachable(cause), 0, true);
  }
  if (response.ok) return body === "" ? null : parsed(body, response);
  if (response.status === 401) signInNeeded.value = true;
  const unreachable = response.status === 502 || response.status === 504;
  throw new ApiError(problemOf(body, response), response.status, unreachable);
}

function whyUnreachable(cause: unknown): Problem {
  const slow = cause instanceof DOMException && cause.name === "TimeoutError";
  return {
    error: slow ? text.api.slow(TIMEOUT_MS / 1000) : text.api.silent,
    hint: text.api.silentHint,
  };
}

function parsed(body: string, response: Response): unknown {
  try {
    return parseSanitized(body);
  } catch {
    throw new ApiError({ error: text.api.notJson, hint: text.api.notJsonHint }, response.status, false);
  }
}

function problemOf(body: string, response: Response): Problem {
  const fallback: Problem = {
    error: text.api.status(`${response.status} ${response.statusText}`.trim()),
    hint: text.api.statusHint,
  };
  try {
    // `/readyz` gives a reason instead of a problem.
    const value = parseSanitized(body) as (Partial<Problem> & { reason?: unknown }) | null;
    const error = value?.error ?? value?.reason;
    if (typeof error === "string" && error !== "") {
      return { error, hint: typeof value?.hint === "string" ? value.hint : "" };
    }
  } catch {
    // Not the collector's own error format: only the status line is known.
  }
  return fallback;
}
