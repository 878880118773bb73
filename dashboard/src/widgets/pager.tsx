/** Pagination of a list. The page is a parameter of the URL. */

import type { JSX } from "preact";
import { plural } from "../model/format";
import { wholeParam } from "../model/route";
import { text } from "../text";
import { route, setParams } from "./location";

const words = text.findings;

export interface PagerProps {
  /** The parameter with the page number; 1 if it is missing. */
  name: string;
  /** Rows per page, and in total. */
  size: number;
  total: number;
  /** What the rows are, singular and plural. */
  noun: readonly [string, string];
}

/** The page in the URL, from 1. */
export function pageOf(name: string): number {
  return wholeParam(route.value, name, 1, 1);
}

export function Pager({ name, size, total, noun }: PagerProps): JSX.Element {
  const page = pageOf(name);
  const pages = Math.max(1, Math.ceil(total / size));
  if (pages === 1) return <p class="muted small">{plural(total, ...noun)}</p>;
  return (
    <nav class="pager" aria-label={words.pages}>
      <button type="button" disabled={page <= 1} onClick={() => setParams({ [name]: page === 2 ? "" : String(page - 1) })}>
        {words.previous}
      </button>
      <span>{words.page(page, pages, plural(total, ...noun))}</span>
      <button type="button" disabled={page >= pages} onClick={() => setParams({ [name]: String(page + 1) })}>
        {words.next}
      </button>
    </nav>
  );
}
