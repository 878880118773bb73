/** The waiter x holder matrix; a list of pairs on a phone. */

import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { Cell as CellData, Contention } from "../api/types";
import { count, duration, percent, place } from "../model/format";
import { heatOf, pairsOf, rowsOf } from "../model/matrix";
import { text } from "../text";
import { linkTo } from "./location";
import { CallSiteText, Cut, Meter, TraceLink } from "./atoms";

const words = text.contention;

export function Matrix({ data }: { data: Contention }): JSX.Element | null {
  const rows = useMemo(() => rowsOf(data), [data]);
  if (data.cells.length === 0) return null;
  const most = data.cells.reduce((max, cell) => Math.max(max, cell.overlap_ns), 0);
  const named = percent(data.wait_ns === 0 ? 0 : Math.min(1, data.named_ns / data.wait_ns));
  return (
    <section>
      <h2>
        {words.matrix} <small class="muted">{words.matrixNote(named)}</small>
      </h2>
      <Pairs data={data} most={most} />
      <div class="table-box matrix-box" tabIndex={0} role="region" aria-label={words.matrix}>
        <table class="matrix">
          <thead>
            <tr>
              <td />
              {data.holders.map((holder, index) => (
                <th key={index} scope="col" title={`${holder.function} ${place(holder.call_site.file, holder.call_site.line)}`}>
                  <span>{shortName(holder.function)}</span>
                  <small class="muted">{place(holder.call_site.file.split("/").at(-1) ?? "", holder.call_site.line)}</small>
                  <b>{duration(holder.overlap_ns)}</b>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map(({ waiter: index, cells }) => {
              const waiter = data.waiters[index];
              if (waiter === undefined) return null;
              return (
                <tr key={index}>
                  <th scope="row">
                    <a href={linkTo("finding", waiter.finding_id)}>
                      <CallSiteText site={waiter.call_site} />
                    </a>
                    <div class="muted small">
                      {waiter.service} · <b>{duration(waiter.wait_ns)}</b>
                    </div>
                  </th>
                  {cells.map((cell, column) => (
                    <HeatCell key={column} cell={cell} most={most} said={cell === null ? "" : saidOf(data, cell)} />
                  ))}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      <Cut shown={data.waiters.length} total={data.waiters_total} order="waited" />
      <Cut shown={data.holders.length} total={data.holders_total} order="held" />
    </section>
  );
}

function HeatCell({ cell, most, said }: { cell: CellData | null; most: number; said: string }): JSX.Element {
  if (cell === null) return <td class="heat" aria-label={words.nothing} />;
  const shown = duration(cell.overlap_ns);
  return (
    <td class={`heat heat-${heatOf(cell, most)}`} title={said}>
      {cell.trace_id === "" ? shown : <TraceLink id={cell.trace_id}>{shown}</TraceLink>}
    </td>
  );
}

function Pairs({ data, most }: { data: Contention; most: number }): JSX.Element {
  return (
    <ol class="pairs">
      {pairsOf(data.cells).map((cell) => {
        const [waiter, holder] = [data.waiters[cell.waiter], data.holders[cell.holder]];
        if (waiter === undefined || holder === undefined) return null;
        return (
          <li key={`${cell.waiter} ${cell.holder}`}>
            <a href={linkTo("finding", waiter.finding_id)}>
              <CallSiteText site={waiter.call_site} />
            </a>
            <div>
              <b>{duration(cell.overlap_ns)}</b> → {cell.trace_id === "" ? holder.function : <TraceLink id={cell.trace_id}>{holder.function}</TraceLink>}
            </div>
            <Meter share={cell.overlap_ns / Math.max(most, 1)} level="warn" />
          </li>
        );
      })}
    </ol>
  );
}

function saidOf(data: Contention, cell: CellData): string {
  const waiter = data.waiters[cell.waiter]?.function ?? "";
  return words.cell(waiter, data.holders[cell.holder]?.function ?? "", duration(cell.overlap_ns), count(cell.count));
}

/** The last two parts of a dotted name, because columns are narrow. */
function shortName(name: string): string {
  return name.split(".").slice(-2).join(".");
}
