/** Firing alerts, rules, silences and deliveries. */

import type { JSX } from "preact";
import { question } from "../api/client";
import type { AlertStatus } from "../api/types";
import { duration } from "../model/format";
import { text } from "../text";
import { AlertTable } from "../widgets/alert-table";
import { DeliveriesTab } from "../widgets/deliveries";
import { linkTo, range, route, service } from "../widgets/location";
import { Prose, Rich } from "../widgets/rich";
import { RulesTab } from "../widgets/rules";
import { SilencesTab } from "../widgets/silences";
import { Nothing, Shown } from "../widgets/states";
import { useLive } from "../widgets/use-live";
import { AgoText } from "../widgets/atoms";

const words = text.alerts;
const TABS = ["alerts", "rules", "silences", "deliveries"] as const;
type Tab = (typeof TABS)[number];
const BODIES: Record<Tab, () => JSX.Element> = {
  alerts: AlertList,
  rules: RulesTab,
  silences: SilencesTab,
  deliveries: DeliveriesTab,
};

export function Alerts(): JSX.Element {
  const chosen = TABS.find((tab) => tab === route.value.params["tab"]) ?? "alerts";
  const Body = BODIES[chosen];
  return (
    <>
      <h1>{words.title}</h1>
      <Status />
      <nav class="tabs" aria-label={words.tabsLabel}>
        {TABS.map((tab) => (
          <a key={tab} href={linkTo("alerts", "", { tab: tab === "alerts" ? "" : tab })} aria-current={tab === chosen ? "page" : undefined}>
            {words.tabs[tab]}
          </a>
        ))}
      </nav>
      <Body key={chosen} />
    </>
  );
}

/** The state of alerting itself. */
function Status(): JSX.Element {
  const { data } = useLive(question("GET alerts/status", {}), true);
  if (data === null) return <p class="muted small">&nbsp;</p>;
  return (
    <>
      <p class="muted small">{statusLine(data)}</p>
      {data.error !== "" && <p class="notice" role="alert">{words.fileError(data.file, data.error)}</p>}
      {data.failure !== "" && <p class="notice" role="alert">{words.evaluationError(data.failure)}</p>}
      {data.receivers === 0 && (
        <p class="notice">
          <Prose text={words.nobody} />
        </p>
      )}
    </>
  );
}

function statusLine(status: AlertStatus): JSX.Element {
  if (!status.evaluator) return <>{words.elsewhere(status.owner)}</>;
  if (status.evaluated_at === "") return <>{words.never}</>;
  return (
    <Rich text={words.status} at={<AgoText at={status.evaluated_at} />} took={duration(status.took_ms * 1e6)}
      interval={duration(status.interval_ns)} />
  );
}

function AlertList(): JSX.Element {
  const asking = question("GET alerts", { ...range.value, service: service.value, rule: route.value.params["rule"] });
  const asked = useLive(asking, true);
  return (
    <Shown asked={asked} what={words.what}>
      {(data) =>
        data.alerts.length === 0 ? (
          <Nothing title={words.none}>
            <p class="muted">{words.noneHint}</p>
          </Nothing>
        ) : (
          <div class={asked.stale ? "stale" : ""}>
            <AlertTable alerts={data.alerts} />
          </div>
        )
      }
    </Shown>
  );
}
