/** One JSON request to the collector that serves this page. */

import { parseInert } from "./inert";
import type { Problem } from "./types";

const TIMEOUT_MS = 20_000;

/** Why a request gave no data, and what to do: the collector's own words where it had any. */
export class ApiError extends Error {
  readonly hint: string;
  /** Whether the collector itself could not be reached, as opposed to answering that something is wrong. */
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

export type Query = Record<string, string | number | undefined>;

/** Path and query of an API call, relative to the page so that path prefixes work. Empty values are left out. */
export function apiUrl(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return `api/${path}${text === "" ? "" : `?${text}`}`;
}

/**
 * The answer to GET `url`.
 *
 * Rejects with an ApiError, or with an AbortError if `signal` fires first.
 */
export async function getJson(url: string, signal: AbortSignal): Promise<unknown> {
  let response: Response;
  let body: string;
  try {
    response = await fetch(url, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      headers: { accept: "application/json" },
    });
    body = await response.text();
  } catch (cause) {
    signal.throwIfAborted();
    throw new ApiError(whyUnreachable(cause), 0, true);
  }
  if (response.ok) return parsed(body, response);
  const unreachable = response.status === 502 || response.status === 504;
  throw new ApiError(problemOf(body, response), response.status, unreachable);
}

function whyUnreachable(cause: unknown): Problem {
  const slow = cause instanceof DOMException && cause.name === "TimeoutError";
  return {
    error: slow ? `The collector took longer than ${TIMEOUT_MS / 1000} s to answer.` : "The collector does not answer.",
    hint: "See whether `asgiscope-collector serve` still runs, and what it printed last.",
  };
}

function parsed(body: string, response: Response): unknown {
  try {
    return parseInert(body);
  } catch {
    throw new ApiError(
      {
        error: "The answer is not JSON.",
        hint: "Something between this page and the collector answers in its place: a proxy or a login page.",
      },
      response.status,
      false,
    );
  }
}

function problemOf(body: string, response: Response): Problem {
  const fallback: Problem = {
    error: `The collector answered ${response.status} ${response.statusText}`.trim() + ".",
    hint: "Its log says more.",
  };
  try {
    const value = parseInert(body) as Partial<Problem> | null;
    if (typeof value?.error === "string" && value.error !== "") {
      return { error: value.error, hint: typeof value.hint === "string" ? value.hint : "" };
    }
  } catch {
    // Not the collector's own error body: the status line is all there is to say.
  }
  return fallback;
}
