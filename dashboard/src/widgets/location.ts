/** Where the reader is: the route of the address, and moves to another. */

import { computed, signal } from "@preact/signals";
import { href, parseRoute, type Route, shared, sinceOf, type ViewName } from "../model/route";

const hash = signal(window.location.hash);
window.addEventListener("hashchange", () => {
  hash.value = window.location.hash;
});

export const route = computed<Route>(() => parseRoute(hash.value));
export const service = computed(() => route.value.params["service"] ?? "");
export const since = computed(() => sinceOf(route.value));

/** The address of a view, in the service and time range that are looked at now. */
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
