/**
 * Every view is a URL: `#/view/id?name=value`. It is in the fragment, so the page works below any path and needs no
 * routes on the server.
 */

export type ViewName =
  | "overview"
  | "findings"
  | "finding"
  | "contention"
  | "traces"
  | "trace"
  | "middleware"
  | "releases"
  | "alerts";

export interface Route {
  /** null: the URL names no view. */
  view: ViewName | null;
  id: string;
  params: Readonly<Record<string, string>>;
}

/** The parameters that links to other views keep. */
export const SHARED_PARAMS = ["service", "environment", "since", "until"] as const;

const LISTS: Record<string, ViewName> = {
  overview: "overview",
  findings: "findings",
  contention: "contention",
  traces: "traces",
  middleware: "middleware",
  releases: "releases",
  alerts: "alerts",
};
const DETAILS: Record<string, ViewName> = { findings: "finding", traces: "trace" };
const PATHS: Record<ViewName, string> = {
  overview: "overview",
  findings: "findings",
  finding: "findings",
  contention: "contention",
  traces: "traces",
  trace: "traces",
  middleware: "middleware",
  releases: "releases",
  alerts: "alerts",
};

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = split(hash.replace(/^#\/?/u, ""));
  const params = Object.fromEntries(new URLSearchParams(query));
  const [name = "", rawId = "", ...rest] = path.split("/");
  const id = decoded(rawId);
  if (rest.length > 0 || id === null) return { view: null, id: "", params };
  if (name === "" && id === "") return { view: "overview", id: "", params };
  const view = (id === "" ? own(LISTS, name) : own(DETAILS, name)) ?? null;
  return { view, id, params };
}

function split(text: string): [string, string] {
  const at = text.indexOf("?");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

function own<T>(table: Record<string, T>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null; // a stray % sign: not one of our URLs
  }
}

/** The fragment of a view. Empty parameters are left out. */
export function href(view: ViewName, id: string, params: Readonly<Record<string, string>>): string {
  const search = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== ""));
  const query = search.toString();
  const path = id === "" ? PATHS[view] : `${PATHS[view]}/${encodeURIComponent(id)}`;
  return `#/${path}${query === "" ? "" : `?${query}`}`;
}

/** The parameters of `route` that its links keep. */
export function shared(route: Route): Record<string, string> {
  const kept = SHARED_PARAMS.filter((name) => (route.params[name] ?? "") !== "");
  return Object.fromEntries(kept.map((name) => [name, route.params[name] as string]));
}

/** An integer of at least `least` from the URL, else `fallback`. */
export function wholeParam(route: Route, name: string, fallback: number, least = 0): number {
  const text = route.params[name] ?? "";
  const value = /^\d{1,9}$/u.test(text) ? Number(text) : fallback;
  return value < least ? fallback : value;
}
