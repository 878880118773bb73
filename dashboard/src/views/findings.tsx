/** Every problem found, to be filtered and sorted. */

import type { JSX } from "preact";
import { apiUrl } from "../api/client";
import type { Findings as FindingsData } from "../api/types";
import { count, plural } from "../model/format";
import { KINDS, wordsOf } from "../model/kinds";
import { wholeParam } from "../model/route";
import { FindingTable } from "../widgets/finding-table";
import { FilterBar, SelectFilter, TextFilter } from "../widgets/filters";
import { route, service, setParams, since } from "../widgets/location";
import { NoData, Nothing, Shown } from "../widgets/states";
import { useLive } from "../widgets/use-live";

const PAGE_SIZE = 50;
const SORTS: readonly (readonly [string, string])[] = [
  ["", "cost to users"],
  ["count", "times"],
  ["total", "total time"],
  ["p95", "p95"],
  ["max", "longest"],
  ["victims", "requests hurt"],
  ["last_seen", "last seen"],
  ["first_seen", "newest"],
];
const KIND_OPTIONS: readonly (readonly [string, string])[] = [
  ["", "all kinds"],
  ...KINDS.map((kind) => [kind, wordsOf(kind).label] as const),
];
const FILTERS = ["kind", "route", "q"] as const;

export function Findings(): JSX.Element {
  const { params } = route.value;
  const page = wholeParam(route.value, "page", 1, 1);
  const url = apiUrl("findings", {
    service: service.value,
    since: since.value,
    kind: params["kind"],
    route: params["route"],
    q: params["q"],
    sort: params["sort"],
    limit: PAGE_SIZE,
    offset: (page - 1) * PAGE_SIZE,
  });
  const asked = useLive<FindingsData>(url, true);
  const filtered = FILTERS.some((name) => (params[name] ?? "") !== "");
  const routes = [...new Set(asked.data?.findings.flatMap((finding) => finding.routes) ?? [])].sort();
  return (
    <>
      <h1>Findings</h1>
      <FilterBar clear={filtered ? FILTERS : []}>
        <TextFilter name="q" label="Search" placeholder="function, file, route" focusKey="/" />
        <SelectFilter name="kind" label="Kind" options={KIND_OPTIONS} />
        <TextFilter name="route" label="Route" placeholder="any" choices={routes} />
        <SelectFilter name="sort" label="Sort by" options={SORTS} />
      </FilterBar>
      <Shown asked={asked} what="findings">
        {(data) =>
          data.findings.length > 0 ? (
            <div class={asked.stale ? "stale" : ""}>
              <FindingTable findings={data.findings} question={url} caption="Findings" />
              <Pager page={page} total={data.total} />
            </div>
          ) : filtered || page > 1 ? (
            <Nothing title="No finding fits these filters" />
          ) : (
            <NoData what="findings" />
          )
        }
      </Shown>
    </>
  );
}

function Pager({ page, total }: { page: number; total: number }): JSX.Element {
  const pages = Math.max(1, Math.ceil(total / PAGE_SIZE));
  if (pages === 1) return <p class="muted small">{plural(total, "finding")}</p>;
  return (
    <nav class="pager" aria-label="Pages">
      <button type="button" disabled={page <= 1} onClick={() => setParams({ page: page === 2 ? "" : String(page - 1) })}>
        Previous
      </button>
      <span>
        Page {page} of {pages} · {count(total)} findings
      </span>
      <button type="button" disabled={page >= pages} onClick={() => setParams({ page: String(page + 1) })}>
        Next
      </button>
    </nav>
  );
}
