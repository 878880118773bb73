/** The frame around every view: navigation, service, time range, theme, connection. */

import { computed } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useErrorBoundary } from "preact/hooks";
import { question } from "../api/client";
import { POLL_MS, SLOWEST_POLL_MS, unreachableSince } from "../api/live";
import { signInNeeded } from "../api/session";
import { clock, count } from "../model/format";
import type { ViewName } from "../model/route";
import { text } from "../text";
import { Alerts } from "../views/alerts";
import { Contention } from "../views/contention";
import { Finding } from "../views/finding";
import { Findings } from "../views/findings";
import { Middleware } from "../views/middleware";
import { Overview } from "../views/overview";
import { Releases } from "../views/releases";
import { Trace } from "../views/trace";
import { Traces } from "../views/traces";
import { CopyLink, Toast } from "../widgets/copy-link";
import { Icon } from "../widgets/icon";
import { environment, linkTo, range, route, service, setParams } from "../widgets/location";
import { chooseTheme, THEMES, type ThemeChoice, themeChoice } from "../widgets/preferences";
import { RangePicker } from "../widgets/range-picker";
import { Rich } from "../widgets/rich";
import { helpOpen, ShortcutHelp, useShortcuts } from "../widgets/shortcuts";
import { SignedIn, SignIn } from "../widgets/sign-in";
import { Nothing } from "../widgets/states";
import { Warnings } from "../widgets/warnings";
import { useLive, useStream } from "../widgets/use-live";

const VIEWS: Record<ViewName, () => JSX.Element> = {
  overview: Overview,
  findings: Findings,
  finding: Finding,
  contention: Contention,
  traces: Traces,
  trace: Trace,
  middleware: Middleware,
  releases: Releases,
  alerts: Alerts,
};

const NAVIGATION = ["overview", "findings", "contention", "traces", "middleware", "releases", "alerts"] as const;

const section = computed<ViewName | null>(() => {
  const { view } = route.value;
  return view === "finding" ? "findings" : view === "trace" ? "traces" : view;
});

export function Shell(): JSX.Element {
  const { view, id } = route.value;
  useShortcuts();
  useStream();
  useEffect(() => {
    document.title = `${view === null ? text.nav.notFound : text.nav[view]} · ${text.name}`;
    window.scrollTo(0, 0);
    // On a phone the links do not all fit side by side.
    document.querySelector(".top nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [view, id]);
  return (
    <>
      <a class="skip" href="#content" onClick={skip}>{text.nav.skip}</a>
      <header class="top">
        <a class="brand" href={linkTo("overview")}>{text.name}</a>
        <nav aria-label={text.nav.views}>
          {NAVIGATION.map((name) => (
            <a key={name} href={linkTo(name)} aria-current={section.value === name ? "page" : undefined}>
              {text.nav[name]}
              {name === "alerts" && <Firing />}
            </a>
          ))}
        </nav>
        {!signInNeeded.value && <Scope />}
      </header>
      <Disconnected />
      {!signInNeeded.value && <Warnings />}
      <main id="content" tabIndex={-1}>
        {signInNeeded.value ? <SignIn /> : <View key={`${view}/${id}`} name={view} />}
      </main>
      <Toast />
      <ShortcutHelp />
    </>
  );
}

/** The number of firing alerts beside the link to them; nothing if there are none. */
function Firing(): JSX.Element | null {
  const { data } = useLive(question("GET alerts", { since: "1h", limit: 1 }), true);
  if (data === null || data.firing === 0) return null;
  return (
    <span class="badge" title={text.alerts.firing(count(data.firing))}>
      {count(data.firing)}
      <span class="sr-only"> {text.alerts.states.firing.toLowerCase()}</span>
    </span>
  );
}

/** The fragment is the URL of the view, so the link has to move the focus itself. */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

function View({ name }: { name: ViewName | null }): JSX.Element {
  const [error] = useErrorBoundary((cause: unknown) => console.error(cause));
  const Body = name === null ? undefined : VIEWS[name];
  if (error !== undefined) return <Broken error={error} />;
  return Body === undefined ? <NotFound /> : <Body />;
}

/** An exception in one view keeps the frame, and with it the navigation. */
function Broken({ error }: { error: unknown }): JSX.Element {
  return (
    <div class="state state-error" role="alert">
      <h2>{text.states.broken}</h2>
      <p>{text.states.brokenHint(error instanceof Error ? error.message : String(error))}</p>
    </div>
  );
}

function NotFound(): JSX.Element {
  return (
    <Nothing title={text.states.noView}>
      <p>
        <Rich text={text.states.noViewHint} overview={<a href={linkTo("overview")}>{text.states.noViewLink}</a>} />
      </p>
    </Nothing>
  );
}

function Scope(): JSX.Element {
  const { data } = useLive(question("GET services", range.value), true);
  const services = withChosen(data?.services ?? [], service.value);
  const environments = withChosen(data?.environments ?? [], environment.value);
  return (
    <div class="scope" role="group" aria-label={text.scope.label}>
      <Choice name="service" label={text.scope.service} all={text.scope.allServices} value={service.value} names={services}
        note={data?.truncated === true ? text.lists.names(count(services.length)) : ""} />
      {environments.length > 1 && (
        <Choice name="environment" label={text.scope.environment} all={text.scope.allEnvironments} value={environment.value}
          names={environments} note="" />
      )}
      <RangePicker />
      <div class="tools">
        <SignedIn />
        <CopyLink />
        <button type="button" class="icon-button" aria-label={text.nav.keysTitle} title={text.nav.keysTitle}
          onClick={() => (helpOpen.value = true)}>
          <Icon name="keys" />
        </button>
        <label>
          <span class="sr-only">{text.scope.theme}</span>
          <select value={themeChoice.value} onChange={(event) => chooseTheme(event.currentTarget.value as ThemeChoice)}>
            {THEMES.map((choice) => (
              <option key={choice} value={choice} selected={choice === themeChoice.value}>
                {text.scope.themes[choice]}
              </option>
            ))}
          </select>
        </label>
      </div>
    </div>
  );
}

/** The existing names, and the chosen one even if it does not exist now. */
function withChosen(names: readonly string[], chosen: string): string[] {
  return [...new Set([...names, chosen])].filter((name) => name !== "").sort();
}

function Choice(props: { name: string; label: string; all: string; value: string; names: readonly string[]; note: string }): JSX.Element {
  return (
    <label>
      <span class="sr-only">{props.label}</span>
      <select value={props.value} onChange={(event) => setParams({ [props.name]: event.currentTarget.value, page: "" })}>
        <option value="" selected={props.value === ""}>{props.all}</option>
        {props.names.map((name) => (
          <option key={name} value={name} selected={name === props.value}>
            {name}
          </option>
        ))}
        {props.note !== "" && <option disabled>{props.note}</option>}
      </select>
    </label>
  );
}

function Disconnected(): JSX.Element {
  const since = unreachableSince.value;
  return (
    <div role="alert">
      {since !== null && (
        <p class="banner">
          <b>{text.states.disconnected(clock(since * 1e6))}</b>{" "}
          <Rich text={text.states.disconnectedHint(POLL_MS / 1000, SLOWEST_POLL_MS / 1000)} />
        </p>
      )}
    </div>
  );
}
