/** Comparison of two releases or two periods. */

import type { JSX } from "preact";
import { question } from "../api/client";
import type { Release } from "../api/types";
import { pairOf } from "../model/releases";
import { text } from "../text";
import { ComparisonBody } from "../widgets/comparison";
import { route, scope, setParams } from "../widgets/location";
import { Nothing, Shown } from "../widgets/states";
import { useLive } from "../widgets/use-live";

const words = text.releases;

export function Releases(): JSX.Element {
  // Releases are further apart than the overview's range: offer all that are stored.
  const { service, environment } = scope.value;
  const asked = useLive(question("GET releases", { service, environment, since: "30d" }), true);
  return (
    <>
      <h1>{words.title}</h1>
      <Shown asked={asked} what={words.whatList}>
        {(data) => <Chosen releases={data.releases} />}
      </Shown>
    </>
  );
}

function Chosen({ releases }: { releases: readonly Release[] }): JSX.Element {
  const { params } = route.value;
  const pair = params["by"] === "period" ? null : pairOf(releases, scope.value.service, params["base"] ?? "", params["other"] ?? "");
  const versions = releases.some(({ version }) => version !== "");
  return (
    <>
      <div class="filters" role="group" aria-label={words.compare}>
        <div class="choice">
          <button type="button" aria-pressed={pair !== null} disabled={pair === null && params["by"] !== "period"}
            onClick={() => setParams({ by: "" })}>
            {words.versions}
          </button>
          <button type="button" aria-pressed={pair === null} onClick={() => setParams({ by: "period" })}>
            {words.periods}
          </button>
        </div>
        {pair !== null && <VersionSelect name="base" label={words.base} value={pair.base} releases={releases} service={pair.service} />}
        {pair !== null && <VersionSelect name="other" label={words.other} value={pair.other} releases={releases} service={pair.service} />}
        {pair === null && <span class="muted">{words.periodHint}</span>}
      </div>
      {pair === null && params["by"] !== "period" && <p class="notice">{versions ? words.oneOnly : words.noneHint}</p>}
      {pair === null ? (
        <Compared query={scope.value} />
      ) : (
        <Compared query={{ service: pair.service, environment: pair.environment, base_version: pair.base, version: pair.other, since: "30d" }} />
      )}
    </>
  );
}

function VersionSelect(props: { name: string; label: string; value: string; releases: readonly Release[]; service: string }): JSX.Element {
  const mine = props.releases.filter(({ service, version }) => service === props.service && version !== "");
  const names = [...new Set([...mine.map(({ version }) => version), props.value])];
  return (
    <label>
      <span>{props.label}</span>
      <select value={props.value} onChange={(event) => setParams({ [props.name]: event.currentTarget.value, service: props.service })}>
        {names.map((version) => (
          <option key={version} value={version} selected={version === props.value}>
            {words.release(version, props.service)}
          </option>
        ))}
      </select>
    </label>
  );
}

function Compared({ query }: { query: Record<string, string> }): JSX.Element {
  const asked = useLive(question("GET releases/compare", query), true);
  return (
    <Shown asked={asked} what={words.what}>
      {(data) =>
        data.base.requests === 0 || data.other.requests === 0 ? (
          <Nothing title={words.noRequests}>
            <p class="muted">{words.noRequestsHint}</p>
          </Nothing>
        ) : (
          <div class={asked.stale ? "stale" : ""}>
            <ComparisonBody data={data} />
          </div>
        )
      }
    </Shown>
  );
}
