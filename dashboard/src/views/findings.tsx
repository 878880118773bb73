/** Every problem found, to be filtered and sorted. */

import type { JSX } from "preact";
import { question } from "../api/client";
import type { State } from "../api/types";
import { plural } from "../model/format";
import { KINDS, wordsOf } from "../model/kinds";
import { wholeParam } from "../model/route";
import { text } from "../text";
import { FindingTable } from "../widgets/finding-table";
import { FilterBar, SelectFilter, TextFilter } from "../widgets/filters";
import { route, scope, setParams } from "../widgets/location";
import { NoData, Nothing, Shown } from "../widgets/states";
import { useLive } from "../widgets/use-live";

const PAGE_SIZE = 50;
const words = text.findings;
const SORTS = Object.entries(words.sorts);
const KIND_OPTIONS: readonly (readonly [string, string])[] = [
  ["", words.allKinds],
  ...KINDS.map((kind) => [kind, wordsOf(kind).label] as const),
];
const STATE_OPTIONS = Object.entries(words.states);
/** What '' asks for: problems that nobody has dealt with, and those that came back. */
const OPEN = ["open", "regressed"] as const;
const FILTERS = ["kind", "state", "route", "q"] as const;

export function Findings(): JSX.Element {
  const { params } = route.value;
  const page = wholeParam(route.value, "page", 1, 1);
  const asking = question("GET findings", {
    ...scope.value,
    kind: params["kind"],
    state: stateAsked(params["state"] ?? ""),
    route: params["route"],
    q: params["q"],
    sort: params["sort"],
    limit: PAGE_SIZE,
    offset: (page - 1) * PAGE_SIZE,
  });
  const asked = useLive(asking, true);
  const filtered = FILTERS.some((name) => (params[name] ?? "") !== "");
  const routes = [...new Set(asked.data?.findings.flatMap((finding) => finding.routes) ?? [])].sort();
  return (
    <>
      <h1>{words.title}</h1>
      <FilterBar clear={filtered ? FILTERS : []}>
        <TextFilter name="q" label={words.search} placeholder={words.searchHint} focusKey="/" />
        <SelectFilter name="kind" label={words.kind} options={KIND_OPTIONS} />
        <SelectFilter name="state" label={words.state} options={STATE_OPTIONS} />
        <TextFilter name="route" label={words.route} placeholder={words.any} choices={routes} />
        <SelectFilter name="sort" label={words.sort} options={SORTS} />
      </FilterBar>
      <Shown asked={asked} what={words.what}>
        {(data) =>
          data.findings.length > 0 ? (
            <div class={asked.stale ? "stale" : ""}>
              <FindingTable findings={data.findings} question={asking.url} caption={words.caption} />
              <Pager page={page} total={data.total} />
            </div>
          ) : filtered || page > 1 ? (
            <Nothing title={words.none} />
          ) : (
            <NoData what={words.what} />
          )
        }
      </Shown>
    </>
  );
}

function stateAsked(choice: string): string | State[] {
  if (choice === "") return [...OPEN];
  return choice === "all" ? "" : choice;
}

function Pager({ page, total }: { page: number; total: number }): JSX.Element {
  const pages = Math.max(1, Math.ceil(total / PAGE_SIZE));
  if (pages === 1) return <p class="muted small">{plural(total, ...text.nouns.finding)}</p>;
  return (
    <nav class="pager" aria-label={words.pages}>
      <button type="button" disabled={page <= 1} onClick={() => setParams({ page: page === 2 ? "" : String(page - 1) })}>
        {words.previous}
      </button>
      <span>
        {words.page(page, pages, plural(total, ...text.nouns.finding))}
      </span>
      <button type="button" disabled={page >= pages} onClick={() => setParams({ page: String(page + 1) })}>
        {words.next}
      </button>
    </nav>
  );
}
