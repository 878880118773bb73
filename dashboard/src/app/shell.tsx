/** The frame around every view: navigation, service, time range, theme, connection. */

import { computed } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { apiUrl } from "../api/client";
import { POLL_MS, unreachableSince } from "../api/live";
import type { Services } from "../api/types";
import { clock } from "../model/format";
import { RANGES, type ViewName } from "../model/route";
import { Finding } from "../views/finding";
import { Findings } from "../views/findings";
import { Overview } from "../views/overview";
import { Trace } from "../views/trace";
import { Traces } from "../views/traces";
import { linkTo, route, service, setParams, since } from "../widgets/location";
import { Nothing } from "../widgets/states";
import { chooseTheme, type ThemeChoice, themeChoice } from "../widgets/theme";
import { useLive } from "../widgets/use-live";

const VIEWS: Record<ViewName, () => JSX.Element> = {
  overview: Overview,
  findings: Findings,
  finding: Finding,
  traces: Traces,
  trace: Trace,
};

const TITLES: Record<ViewName, string> = {
  overview: "Overview",
  findings: "Findings",
  finding: "Finding",
  traces: "Traces",
  trace: "Trace",
};

const NAVIGATION = [
  ["overview", "Overview"],
  ["findings", "Findings"],
  ["traces", "Traces"],
] as const;

const section = computed<ViewName | null>(() => {
  const { view } = route.value;
  return view === "finding" ? "findings" : view === "trace" ? "traces" : view;
});

export function Shell(): JSX.Element {
  const { view, id } = route.value;
  useEffect(() => {
    document.title = `${view === null ? "Not found" : TITLES[view]} · asgiscope`;
    window.scrollTo(0, 0);
  }, [view, id]);
  return (
    <>
      <a class="skip" href="#content" onClick={skip}>Skip to content</a>
      <header class="top">
        <a class="brand" href={linkTo("overview")}>asgiscope</a>
        <nav aria-label="Views">
          {NAVIGATION.map(([name, label]) => (
            <a key={name} href={linkTo(name)} aria-current={section.value === name ? "page" : undefined}>
              {label}
            </a>
          ))}
        </nav>
        <Scope />
      </header>
      <Disconnected />
      <main id="content" tabIndex={-1}>
        {view === null ? <NotFound /> : <View key={`${view}/${id}`} name={view} />}
      </main>
    </>
  );
}

/** The fragment is the address of the view, so the link moves the focus itself. */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

function View({ name }: { name: ViewName }): JSX.Element {
  const Body = VIEWS[name];
  return <Body />;
}

function NotFound(): JSX.Element {
  return (
    <Nothing title="There is no such view">
      <p>
        The address names none. Go to the <a href={linkTo("overview")}>overview</a>.
      </p>
    </Nothing>
  );
}

function Scope(): JSX.Element {
  const { data } = useLive<Services>(apiUrl("services", { since: since.value }), true);
  const names = [...new Set([...(data?.services ?? []), ...(service.value === "" ? [] : [service.value])])].sort();
  return (
    <form class="scope" aria-label="What is shown" onSubmit={(event) => event.preventDefault()}>
      <label>
        <span class="sr-only">Service</span>
        <select value={service.value} onChange={(event) => setParams({ service: event.currentTarget.value, page: "" })}>
          <option value="" selected={service.value === ""}>All services</option>
          {names.map((name) => (
            <option key={name} value={name} selected={name === service.value}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span class="sr-only">Time range: last</span>
        <select value={since.value} onChange={(event) => setParams({ since: event.currentTarget.value, page: "" })}>
          {RANGES.map(([value, label]) => (
            <option key={value} value={value} selected={value === since.value}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span class="sr-only">Theme</span>
        <select value={themeChoice.value} onChange={(event) => chooseTheme(event.currentTarget.value as ThemeChoice)}>
          {(["system", "light", "dark"] as const).map((choice) => (
            <option key={choice} value={choice} selected={choice === themeChoice.value}>
              {choice === "system" ? "System" : choice === "light" ? "Light" : "Dark"}
            </option>
          ))}
        </select>
      </label>
    </form>
  );
}

function Disconnected(): JSX.Element {
  const since = unreachableSince.value;
  return (
    <div role="alert">
      {since !== null && (
        <p class="banner">
          <b>The collector has not answered since {clock(since * 1e6)}.</b> What is shown is from before then. This page
          asks again every {POLL_MS / 1000} to 30 seconds. See whether <code>asgiscope-collector serve</code> still runs.
        </p>
      )}
    </div>
  );
}
