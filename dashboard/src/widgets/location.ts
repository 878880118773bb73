/** Where the reader is: the route of the address, and moves to another. */

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
/** The same object for as long as it says the same. */
let lastRange: TimeRange = { since: "", until: "" };
export const range = computed<TimeRange>(() => {
  const next = rangeOf(route.value);
  if (next.since !== lastRange.since || next.until !== lastRange.until) lastRange = next;
  return lastRange;
});

/** What is looked at, as the API's parameters. */
export const scope = computed(() => ({
  service: service.value,
  environment: environment.value,
  since: range.value.since,
  until: range.value.until,
}));

/** The address of a view, in the service, environment and time range that are looked at now. */
export function linkTo(view: ViewName, id = "", params: Readonly<Record<string, string>> = {}): string {
  return href(view, id, { ...shared(route.value), ...params });
}

/** Change params of the present view; an empty value takes one away. `push` makes it a step to go back to. */
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

/** Look at another stretch of time. */
export function setRange({ since, until }: TimeRange): void {
  setParams({ since, until, page: "" });
}
