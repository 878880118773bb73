/** The way from one page of a list to the next. The page is a parameter of the address. */

import type { JSX } from "preact";
import { plural } from "../model/format";
import { wholeParam } from "../model/route";
import { text } from "../text";
import { route, setParams } from "./location";

const words = text.findings;

export interface PagerProps {
  /** The parameter that says which page: 1 where it is not there. */
  name: string;
  /** Rows of a page, and of all. */
  size: number;
  total: number;
  /** What the rows are, one and many. */
  noun: readonly [string, string];
}

/** The page that the address asks for, from 1 on. */
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
