/** Waiters and holders: current waits, waits by thread role, the matrix, and the use of the shared thread. */

import type { JSX } from "preact";
import { question } from "../api/client";
import type { Contention as ContentionData, RoleWaits } from "../api/types";
import { count, duration } from "../model/format";
import { roleName } from "../model/kinds";
import { text } from "../text";
import { LiveWaits } from "../widgets/live-waits";
import { linkTo, route, scope } from "../widgets/location";
import { Matrix } from "../widgets/matrix";
import { SharedThreadChart } from "../widgets/shared-thread-chart";
import { Pools } from "../widgets/pools";
import { Nothing, Shown } from "../widgets/states";
import { useLive } from "../widgets/use-live";
import { Cell, Meter } from "../widgets/atoms";

const words = text.contention;
/** More rows and columns would be unreadable. */
const MATRIX_SIZE = 10;

export function Contention(): JSX.Element {
  const executor = route.value.params["executor"] ?? "";
  const asked = useLive(question("GET contention", { ...scope.value, executor, limit: MATRIX_SIZE }), true);
  return (
    <>
      <h1>{words.title}</h1>
      <LiveWaits />
      <Shown asked={asked} what={words.what}>
        {(data) => (
          <div class={asked.stale ? "stale" : ""}>
            {data.roles.length === 0 && data.waiters.length === 0 ? (
              <Nothing title={words.none}>
                <p class="muted">{words.noneHint}</p>
              </Nothing>
            ) : (
              <Body data={data} executor={executor} />
            )}
          </div>
        )}
      </Shown>
    </>
  );
}

function Body({ data, executor }: { data: ContentionData; executor: string }): JSX.Element {
  return (
    <>
      {executor !== "" && (
        <p>
          <a class="chip" href={linkTo("contention")} title={words.everyRole}>{words.only(roleName(executor))} ✕</a>
        </p>
      )}
      <Matrix data={data} />
      <Roles roles={data.roles} />
      <SharedThreadChart shared={data.shared} />
      <Pools />
    </>
  );
}

function Roles({ roles }: { roles: readonly RoleWaits[] }): JSX.Element | null {
  if (roles.length === 0) return null;
  const most = roles.reduce((max, role) => Math.max(max, role.wait_ns), 1);
  return (
    <section>
      <h2>{words.roles}</h2>
      <div class="table-box">
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">{words.role}</th>
              <th scope="col" class="num">{words.calls}</th>
              <th scope="col" class="num">{words.queued}</th>
              <th scope="col" class="num">{words.waited}</th>
              <th scope="col" class="num">{words.p50}</th>
              <th scope="col" class="num">{words.p95}</th>
              <th scope="col" class="num">{words.p99}</th>
              <th scope="col" class="num">{words.longest}</th>
              <th scope="col" class="num">{words.ran}</th>
            </tr>
          </thead>
          <tbody>
            {roles.map((role) => (
              <tr key={role.executor}>
                <th scope="row">
                  <a href={linkTo("contention", "", { executor: role.executor })}>{roleName(role.executor)}</a>
                  {!role.exact && <span class="tag" title={words.estimated}>{text.overview.estimate}</span>}
                </th>
                <Cell label={words.calls} text={count(role.calls)} />
                <Cell label={words.queued} text={count(role.queued)} />
                <td class="num" data-label={words.waited}>
                  {duration(role.wait_ns)}
                  <Meter share={role.wait_ns / most} level="warn" />
                </td>
                <Cell label={words.p50} text={duration(role.wait_p50_ns)} />
                <Cell label={words.p95} text={duration(role.wait_p95_ns)} />
                <Cell label={words.p99} text={duration(role.wait_p99_ns)} />
                <Cell label={words.longest} text={duration(role.longest_ns)} />
                <Cell label={words.ran} text={duration(role.run_ns)} />
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
