/** The middleware chain of each service, the hops it costs, and what to change first. */

import type { JSX } from "preact";
import { question } from "../api/client";
import type { Chain, Hops, HopSite, Layer, RouteHops } from "../api/types";
import { count, duration, plural, significant } from "../model/format";
import { roleName } from "../model/kinds";
import { text } from "../text";
import { Icon } from "../widgets/icon";
import { linkTo, range, scope } from "../widgets/location";
import { Pager, pageOf } from "../widgets/pager";
import { Prose, Rich } from "../widgets/rich";
import { Nothing, Shown } from "../widgets/states";
import { useLive } from "../widgets/use-live";
import { AgoText, CallSiteText, Cell, Cut, Meter } from "../widgets/atoms";

const words = text.middleware;
const ROWS = 25;
const CHAINS = 20;

export function Middleware(): JSX.Element {
  const offset = (pageOf("page") - 1) * CHAINS;
  const asked = useLive(question("GET middleware", { ...scope.value, limit: CHAINS, offset }), true);
  const hops = useLive(question("GET hops", { ...scope.value, limit: ROWS }), true);
  return (
    <>
      <h1>{words.title}</h1>
      <p class="muted lead">{words.meaning}</p>
      <Shown asked={asked} what={words.what}>
        {(data) => (
          <div class={asked.stale ? "stale" : ""}>
            {data.chains.length === 0 && <NoChain />}
            {data.chains.map((chain) => (
              <ChainBox key={`${chain.service} ${chain.environment}`} chain={chain} />
            ))}
            {data.total > CHAINS && <Pager name="page" size={CHAINS} total={data.total} noun={text.nouns.chain} />}
          </div>
        )}
      </Shown>
      {hops.data !== null && <HopTables hops={hops.data} />}
    </>
  );
}

function NoChain(): JSX.Element {
  return (
    <Nothing title={words.none}>
      <p>{words.noneHint}</p>
      {range.value.since !== "7d" && <p><a href={linkTo("middleware", "", { since: "7d", until: "" })}>{words.lookLonger}</a></p>}
    </Nothing>
  );
}

function ChainBox({ chain }: { chain: Chain }): JSX.Element {
  return (
    <section class="chain-box">
      <h2>
        {chain.service}{" "}
        <small class="muted">
          {[chain.environment, chain.version === "" ? "" : words.version(chain.version)].filter((part) => part !== "").join(" · ")}
        </small>
      </h2>
      <p class="chain-cost">
        <b>{words.costs(plural(chain.hops, ...text.nouns.hop), significant(chain.hook_hops))}</b>
        <span class="muted">
          {"; "}
          {words.average(significant(chain.hops_per_request), plural(chain.requests, ...text.nouns.request))},{" "}
          <Rich text={words.loaded} at={<AgoText at={chain.loaded} />} />
        </span>
      </p>
      <div class="columns">
        <Layers layers={chain.layers} />
        <Changes chain={chain} />
      </div>
    </section>
  );
}

function Changes({ chain }: { chain: Chain }): JSX.Element {
  return (
    <div class="advice">
      <h3>{words.changes}</h3>
      {chain.changes.length === 0 ? (
        <p>{words.noChanges}</p>
      ) : (
        <ol>
          {chain.changes.map((change) => (
            <li key={change.title}>
              <b>
                <Prose text={change.title} />
              </b>{" "}
              <span class="tag">{words[change.saves_hops < 0 ? "adds" : "saves"](plural(Math.abs(change.saves_hops), ...text.nouns.hop))}</span>
              <div>
                {change.layers.map((layer) => (
                  <div key={layer}>
                    <code>{layer}</code>
                  </div>
                ))}
                <Prose text={change.reason} />
              </div>
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}

function Layers({ layers }: { layers: readonly Layer[] }): JSX.Element {
  return (
    <div class="table-box">
      <table class="cards tight layers">
        <caption class="sr-only">{words.chain}</caption>
        <thead>
          <tr>
            <th scope="col">{words.layer}</th>
            <th scope="col">{words.mode}</th>
            <th scope="col" class="num" title={text.definitions.hops}>{words.hops}</th>
            <th scope="col" class="num" title={text.definitions.hops}>{words.hookHops}</th>
            <th scope="col" class="num">{words.waited}</th>
          </tr>
        </thead>
        <tbody>
          {layers.map((layer, index) => (
            <LayerRow key={index} layer={layer} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function LayerRow({ layer }: { layer: Layer }): JSX.Element {
  const adaptation = ownText(words.adaptations, layer.adapted);
  return (
    <tr class={layer.hops > 0 ? "costly" : ""}>
      <th scope="row" class="what">
        {adaptation !== "" && (
          <div class="adapter">
            <Icon name="sync_middleware" /> {words.adapted}: {adaptation}
          </div>
        )}
        <code>{layer.name === "view" ? words.view : layer.name}</code>
      </th>
      <td class="wide" data-label={words.mode}>
        <span class={layer.mode === "sync" ? "tag tag-bad" : "tag"}>{ownText(words.modes, layer.mode) || layer.mode}</span>
      </td>
      <Cell label={words.hops} text={layer.hops > 0 ? count(layer.hops) : ""} />
      <Cell label={words.hookHops} text={layer.hook_hops > 0 ? significant(layer.hook_hops) : ""} />
      <Cell label={words.waited} text={layer.wait_ns + layer.resume_ns > 0 ? duration(layer.wait_ns + layer.resume_ns) : ""} />
    </tr>
  );
}

function ownText(table: Readonly<Record<string, string>>, name: string): string {
  return Object.hasOwn(table, name) ? (table[name] ?? "") : "";
}

function HopTables({ hops }: { hops: Hops }): JSX.Element {
  return (
    <>
      <Routes rows={hops.routes} total={hops.routes_total} />
      <Sites rows={hops.sites} total={hops.sites_total} />
    </>
  );
}

function Routes({ rows, total }: { rows: readonly RouteHops[]; total: number }): JSX.Element | null {
  if (rows.length === 0) return null;
  const most = rows.reduce((max, row) => Math.max(max, row.overhead_ns), 1);
  return (
    <section>
      <h2>{words.routes}</h2>
      <div class="table-box">
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">{words.route}</th>
              <th scope="col" class="num" title={text.definitions.requests}>{words.requests}</th>
              <th scope="col" class="num" title={text.definitions.hops}>{words.perRequest}</th>
              <th scope="col" class="num" title={text.definitions.hop_overhead}>{words.overhead}</th>
              <th scope="col" class="num">{words.queries}</th>
              <th scope="col" class="num">{words.p95}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={`${row.service} ${row.route}`}>
                <th scope="row" class="what">
                  <a href={linkTo("traces", "", { route: row.route, service: row.service })}>{row.route || text.finding.noRoute}</a>{" "}
                  <span class="muted small">{row.service}</span>
                </th>
                <Cell label={words.requests} text={count(row.requests)} />
                <Cell label={words.perRequest} text={significant(row.hops_per_request)} />
                <td class="num" data-label={words.overhead}>
                  {duration(row.overhead_ns)}
                  <Meter share={row.overhead_ns / most} level="cost" />
                </td>
                <Cell label={words.queries} text={count(row.queries)} />
                <Cell label={words.p95} text={duration(row.duration_p95_ns)} />
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Cut shown={rows.length} total={total} order="cost" />
    </section>
  );
}

function Sites({ rows, total }: { rows: readonly HopSite[]; total: number }): JSX.Element | null {
  if (rows.length === 0) return null;
  const most = rows.reduce((max, row) => Math.max(max, row.overhead_ns), 1);
  return (
    <section>
      <h2>{words.sites}</h2>
      <div class="table-box">
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">{words.site}</th>
              <th scope="col">{words.function}</th>
              <th scope="col" class="num">{text.contention.calls}</th>
              <th scope="col" class="num" title={text.definitions.hop_overhead}>{words.overhead}</th>
              <th scope="col" class="num">{text.contention.ran}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row, index) => (
              <tr key={index}>
                <th scope="row" class="what">
                  <CallSiteText site={row.call_site} />
                  <div class="muted small">
                    {[row.service, row.route, row.middleware === "" ? "" : `${words.made} ${row.middleware}`].filter((part) => part !== "").join(" · ")}
                  </div>
                </th>
                <td class="wide" data-label={words.function}>
                  <code>{row.function}</code> <span class="muted small">{roleName(row.executor)}</span>
                </td>
                <Cell label={text.contention.calls} text={count(row.calls)} />
                <td class="num" data-label={words.overhead}>
                  {duration(row.overhead_ns)}
                  <Meter share={row.overhead_ns / most} level="cost" />
                </td>
                <Cell label={text.contention.ran} text={duration(row.run_ns)} />
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Cut shown={rows.length} total={total} order="cost" />
    </section>
  );
}
