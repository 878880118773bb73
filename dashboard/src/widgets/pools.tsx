/** Thread pools: their utilisation, and what occupies them. */

import type { JSX } from "preact";
import { question } from "../api/client";
import type { Pool } from "../api/types";
import { count, duration, percent } from "../model/format";
import { text } from "../text";
import { linkTo, scope } from "./location";
import { Pager, pageOf } from "./pager";
import { useLive } from "./use-live";
import { Cell, Meter } from "./atoms";

const words = text.contention;
const PAGE = "pools";
const PAGE_SIZE = 20;

export function Pools(): JSX.Element | null {
  const offset = (pageOf(PAGE) - 1) * PAGE_SIZE;
  const { data } = useLive(question("GET pools", { ...scope.value, limit: PAGE_SIZE, offset }), true);
  if (data === null || data.pools.length === 0) return null;
  return (
    <section>
      <h2>{words.pools}</h2>
      <div class="table-box">
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">{words.pool}</th>
              <th scope="col" class="num">{words.saturation}</th>
              <th scope="col" class="num">{words.calls}</th>
              <th scope="col" class="num">{words.starved}</th>
              <th scope="col" class="num">{words.waited}</th>
              <th scope="col" class="num">{words.p95}</th>
              <th scope="col" class="num">{words.longest}</th>
              <th scope="col">{words.filledBy}</th>
            </tr>
          </thead>
          <tbody>
            {data.pools.map((pool) => (
              <PoolRow key={`${pool.service} ${pool.workers}`} pool={pool} />
            ))}
          </tbody>
        </table>
      </div>
      {data.total > PAGE_SIZE && <Pager name={PAGE} size={PAGE_SIZE} total={data.total} noun={text.nouns.pool} />}
    </section>
  );
}

function PoolRow({ pool }: { pool: Pool }): JSX.Element {
  const level = pool.saturation > 0.8 ? "bad" : pool.saturation > 0.5 ? "warn" : "";
  const [finding] = pool.finding_ids;
  const filler = pool.filled_by[0]?.function ?? pool.users[0]?.function ?? "";
  return (
    <tr>
      <th scope="row">
        {pool.service} <span class="muted small">{words.workers(pool.workers)}</span>
      </th>
      <td class="num" data-label={words.saturation}>
        {percent(pool.saturation)}
        <Meter share={pool.saturation} level={level} />
      </td>
      <Cell label={words.calls} text={count(pool.calls)} />
      <td class="num" data-label={words.starved}>
        {finding === undefined ? count(pool.starved) : <a href={linkTo("finding", finding)}>{count(pool.starved)}</a>}
      </td>
      <Cell label={words.waited} text={duration(pool.wait_ns)} />
      <Cell label={words.p95} text={duration(pool.wait_p95_ns)} />
      <Cell label={words.longest} text={duration(pool.longest_ns)} />
      <td class="wide" data-label={words.filledBy}>
        <code>{filler || "–"}</code>
      </td>
    </tr>
  );
}
