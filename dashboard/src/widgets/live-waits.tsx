/** Current waits, on what, and since when; updated by the collector's events. */

import type { JSX } from "preact";
import { unreachableSince } from "../api/live";
import { streaming, waitingNow } from "../api/stream";
import type { Waiting } from "../api/types";
import { duration } from "../model/format";
import { roleName } from "../model/kinds";
import { isLive } from "../model/range";
import { text } from "../text";
import { CallSiteText, KindBadge, now, TraceLink } from "./atoms";
import { linkTo, range } from "./location";
import { Prose } from "./rich";

const words = text.contention;

export function LiveWaits(): JSX.Element {
  const live = waitingNow.value;
  const on = isLive(range.value);
  return (
    <section class="live" aria-live="off">
      <h2>
        <span class={streaming.value && on ? "pulse" : ""} aria-hidden="true" />
        {words.now}
      </h2>
      {!on ? (
        <p class="muted">{words.nowPast}</p>
      ) : unreachableSince.value !== null ? (
        <p class="muted">{words.nowLost}</p>
      ) : live === null ? (
        <p class="muted">{words.nowOff}</p>
      ) : live.waiting.length === 0 ? (
        <p class="muted">{words.nowNone}</p>
      ) : (
        <>
          {live.truncated && <p class="muted small">{words.nowCut(live.waiting.length)}</p>}
          <WaitTable waiting={live.waiting} skewMs={Date.now() - live.now_ns / 1e6} />
        </>
      )}
    </section>
  );
}

/** `skewMs`: how far this machine's clock was ahead of the collector's, transport time included. */
function WaitTable({ waiting, skewMs }: { waiting: readonly Waiting[]; skewMs: number }): JSX.Element {
  // Small differences are transport time; the wait itself grows every second.
  const shift = Math.abs(skewMs) > 5_000 ? skewMs : 0;
  return (
    <div class="table-box">
      <table class="cards live-table">
        <thead>
          <tr>
            <th scope="col" class="num">{words.since}</th>
            <th scope="col">{words.call}</th>
            <th scope="col">{words.on}</th>
            <th scope="col">{words.heldBy}</th>
            <th scope="col">{words.route}</th>
          </tr>
        </thead>
        <tbody>
          {waiting.map((wait) => (
            <tr key={wait.span_id}>
              <td class="num" data-label={words.since}>
                <b>{duration(Math.max(wait.reported_ns, (now.value - shift) * 1e6 - wait.since_ns))}</b>
              </td>
              <th scope="row" class="what">
                <div class="what-head">
                  {wait.kind !== null && <KindBadge kind={wait.kind} />}
                  {wait.kind !== null ? (
                    <a href={linkTo("finding", wait.finding_id)}>
                      <CallSiteText site={wait.call_site} />
                    </a>
                  ) : (
                    <CallSiteText site={wait.call_site} />
                  )}
                </div>
                <div class="muted small">
                  {wait.function} · {wait.service} · <TraceLink id={wait.trace_id} span={wait.span_id}>{words.open}</TraceLink>
                </div>
              </th>
              <td class="wide" data-label={words.on}>{wait.kind === null ? words.awaits : wait.executor === "" ? words.blockedLoop : roleName(wait.executor)}</td>
              <td class="wide" data-label={words.heldBy}>
                {wait.holders.length === 0 && wait.kind !== null && <span class="muted">{words.unknownHolder}</span>}
                {wait.holders.map((holder, index) => (
                  <div key={index}>
                    <TraceLink id={holder.trace_id}>{holder.function}</TraceLink>{" "}
                    <small>
                      <CallSiteText site={holder.call_site} />
                    </small>
                    {holder.query !== "" && (
                      <div class="muted small">
                        <Prose text={holder.query} />
                      </div>
                    )}
                  </div>
                ))}
              </td>
              <td class="wide" data-label={words.route}>{wait.route || "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
