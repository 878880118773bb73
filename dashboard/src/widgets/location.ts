/** The current route, and navigation to another. */

import { computed, signal } from "@preact/signals";
import { type TimeRange, rangeOf } from "../model/range";
import { href, parseRoute, type Route, shared, type ViewName } from "../model/route";

const hash = signal(window.location.hash);
window.addEventListener("hashchange", () => {
  hash.value = window.location.hash;
});

export const route = computed<Route>(() => parseRoute(hash.value));
export const service = computed(() => route.value.params["service"] ?? "");
export const environment = computed(() => route.value.params["environment"] ?? "");
/** The same object while its values are the same. */
let lastRange: TimeRange = { since: "", until: "" };
export const range = computed<TimeRange>(() => {
  const next = rangeOf(route.value);
  if (next.since !== lastRange.since || next.until !== lastRange.until) lastRange = next;
  return lastRange;
});

/** The selected scope, as the API's parameters. */
export const scope = computed(() => ({
  service: service.value,
  environment: environment.value,
  since: range.value.since,
  until: range.value.until,
}));

/** The URL of a view with the current service, environment and time range. */
export function linkTo(view: ViewName, id = "", params: Readonly<Record<string, string>> = {}): string {
  return href(view, id, { ...shared(route.value), ...params });
}

/** Change parameters of the current view; an empty value removes one. `push` adds a history entry. */
export function setParams(changes: Readonly<Record<string, string>>, push = true): void {
  const { view, id, params } = route.peek();
  const address = href(view ?? "overview", id, { ...params, ...changes });
  if (address === window.location.hash) return;
  if (push) {
    window.location.hash = address;
  } else {
    history.replaceState(null, "", address);
    hash.value = window.location.hash;
  }
}

/** Select another time range. */
export function setRange({ since, until }: TimeRange): void {
  setParams({ since, until, page: "" });
}
