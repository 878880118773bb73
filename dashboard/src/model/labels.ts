/** The short label of a span in its bar. */

import * as sem from "../api/semconv";
import type { Category, Span } from "../api/types";
import { text } from "../text";
import { place } from "./format";
import { siteOf, textOf } from "./spans";

export function labelOf(span: Span, kind: Category): string {
  if (kind === "bridge" || kind === "async_to_sync") {
    const name = textOf(span.attributes, sem.BRIDGE_FUNCTION) || span.name.split(" ").slice(1).join(" ");
    return lastName(name) || span.name;
  }
  if (kind === "stall") {
    const site = siteOf(span.attributes);
    return `${place(site.file, site.line)} ${lastName(site.function)}`.trim();
  }
  if (kind === "refusal") return text.span.refusedCall(lastName(textOf(span.attributes, sem.CODE_FUNCTION))).trim();
  return span.name;
}

/** `shop.views.list_products` is shown as `list_products`; a method keeps its class. */
export function lastName(qualified: string): string {
  const parts = qualified.replaceAll("<locals>.", "").split(".");
  const last = parts.at(-1) ?? "";
  const owner = parts.at(-2) ?? "";
  return /^[A-Z]/u.test(owner) ? `${owner}.${last}` : last;
}
