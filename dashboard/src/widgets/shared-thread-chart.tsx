/** Use of asgiref's shared thread over time as a chart: what ran on it, and how many calls waited. */

import type { JSX } from "preact";
import type { Occupation, OccupationStep } from "../api/types";
import { clock, count, duration, percent } from "../model/format";
import { text } from "../text";
import { CallSiteText, Cell, Meter } from "./atoms";

const words = text.contention;
/** Number of fills that differ without colour; the others are drawn as the rest. */
const FILLINGS = 5;

export function SharedThreadChart({ shared }: { shared: Occupation }): JSX.Element {
  const busy = shared.steps.reduce((sum, step) => sum + step.busy_ns, 0);
  return (
    <section>
      <h2>{words.shared}</h2>
      <p class="muted small">{words.sharedMeaning}</p>
      {busy === 0 ? (
        <p class="muted">{words.sharedNone}</p>
      ) : (
        <>
          <Strip shared={shared} />
          <Occupants shared={shared} busy={busy} />
        </>
      )}
    </section>
  );
}

function Strip({ shared }: { shared: Occupation }): JSX.Element {
  const whole = shared.steps.reduce((sum, step) => sum + step.busy_ns, 0) / Math.max(1, shared.thread_ns * shared.steps.length);
  const [first, last] = [shared.steps[0], shared.steps.at(-1)];
  const top = scaleOf(shared);
  return (
    <>
      <div class="strip-scale" aria-hidden="true">
        <span>{words.scale(percent(top))}</span>
        <span>{words.waitMark}</span>
      </div>
      <div class="strip" role="img" aria-label={`${words.shared}: ${words.busy} ${percent(whole)}`}>
        {shared.steps.map((step) => (
          <StripStep key={step.time_ns} step={step} threadNs={shared.thread_ns} top={top} />
        ))}
      </div>
      <div class="distribution-axis muted small" aria-hidden="true">
        <span>{clock(first?.time_ns ?? 0)}</span>
        <span>{clock((last?.time_ns ?? 0) + shared.step_ns)}</span>
      </div>
    </>
  );
}

/** The share of the thread's time that the chart's height represents, so that small values are visible. */
function scaleOf({ steps, thread_ns: threadNs }: Occupation): number {
  const most = steps.reduce((max, step) => Math.max(max, step.busy_ns), 0) / Math.max(threadNs, 1);
  return [0.1, 0.25, 0.5].find((share) => most <= share) ?? 1;
}

function StripStep({ step, threadNs, top }: { step: OccupationStep; threadNs: number; top: number }): JSX.Element {
  const said = words.step(clock(step.time_ns), percent(Math.min(1, step.busy_ns / Math.max(threadNs, 1))), duration(step.wait_ns));
  const named = step.by.slice(0, FILLINGS);
  const rest = step.busy_ns - named.reduce((sum, ns) => sum + ns, 0);
  // A call counts in the step of its submission, so a step may exceed its time: it is drawn as full.
  const scale = 100 / Math.max(threadNs * top, step.busy_ns, 1);
  return (
    <span class={step.wait_ns > 0 ? "strip-step waits" : "strip-step"} title={said}>
      {[...named, Math.max(0, rest)].map((ns, index) => ns > 0 && <i key={index} class={`occupant-${index}`} style={{ height: `${ns * scale}%` }} />)}
    </span>
  );
}

function Occupants({ shared, busy }: { shared: Occupation; busy: number }): JSX.Element {
  return (
    <div class="table-box">
      <table class="cards tight">
        <thead>
          <tr>
            <th scope="col">{words.holder}</th>
            <th scope="col" class="num">{words.busy}</th>
            <th scope="col" class="num">{words.calls}</th>
          </tr>
        </thead>
        <tbody>
          {shared.occupants.map((occupant, index) => (
            <tr key={index}>
              <th scope="row" class="what">
                <i class={`swatch occupant-${Math.min(index, FILLINGS)}`} aria-hidden="true" /> <code>{occupant.function}</code>{" "}
                <small>
                  <CallSiteText site={occupant.call_site} /> <span class="muted">{occupant.service}</span>
                </small>
              </th>
              <td class="num" data-label={words.busy}>
                {duration(occupant.busy_ns)} <small class="muted">{percent(occupant.busy_ns / busy)}</small>
                <Meter share={occupant.busy_ns / busy} level="cost" />
              </td>
              <Cell label={words.calls} text={count(occupant.calls)} />
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
