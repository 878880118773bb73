/** All findings, with filters and sorting. */

import type { JSX } from "preact";
import { question } from "../api/client";
import type { State } from "../api/types";
import { KINDS, wordsOf } from "../model/kinds";
import { text } from "../text";
import { FindingTable } from "../widgets/finding-table";
import { FilterBar, SelectFilter, TextFilter } from "../widgets/filters";
import { route, scope } from "../widgets/location";
import { Pager, pageOf } from "../widgets/pager";
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
/** The default: findings without a decision, and regressed ones. */
const OPEN = ["open", "regressed"] as const;
const FILTERS = ["kind", "state", "route", "q"] as const;

export function Findings(): JSX.Element {
  const { params } = route.value;
  const page = pageOf("page");
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
              <Pager name="page" size={PAGE_SIZE} total={data.total} noun={text.nouns.finding} />
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
