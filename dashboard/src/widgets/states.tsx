/** Placeholders while there is no data. */

import type { ComponentChildren, JSX } from "preact";
import type { ApiError } from "../api/client";
import { zone } from "../model/format";
import { rangeText } from "../model/range";
import { text } from "../text";
import { linkTo, range, route } from "./location";
import { Prose, Rich } from "./rich";

const words = text.states;

export function Loading({ what }: { what: string }): JSX.Element {
  return (
    <div class="state" role="status">
      <span class="spinner" aria-hidden="true" />
      {words.loading(what)}
    </div>
  );
}

export function Failure({ error, retry }: { error: ApiError; retry: () => void }): JSX.Element {
  return (
    <div class="state state-error" role="alert">
      <h2>{error.message}</h2>
      {error.hint !== "" && (
        <p>
          <Prose text={error.hint} />
        </p>
      )}
      <button type="button" onClick={retry}>
        {words.again}
      </button>
    </div>
  );
}

export function Nothing({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="state">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** No data at all in the range: most likely nothing was ever sent, so show how to send. */
export function NoData({ what }: { what: string }): JSX.Element {
  const endpoint = new URL(".", window.location.href).href.replace(/\/$/u, "");
  const { view } = route.value;
  return (
    <Nothing title={words.noData(what, rangeText(range.value, zone.value))}>
      {range.value.since !== "7d" && (
        <p>
          <Rich text={words.longerOr} longer={<a href={linkTo(view ?? "overview", "", { since: "7d", until: "" })}>{words.longer}</a>} />
        </p>
      )}
      <ol class="howto">
        <li>
          {words.install} <pre tabIndex={0}>pip install ./instrumentation</pre>
        </li>
        <li>
          {words.switchOn} <pre tabIndex={0}>INSTALLED_APPS += ["asgiscope"]</pre>
        </li>
        <li>
          {words.start}
          <pre tabIndex={0}>{`OTEL_SERVICE_NAME=mysite OTEL_EXPORTER_OTLP_ENDPOINT=${endpoint} uvicorn mysite.asgi:application`}</pre>
        </li>
      </ol>
      <p>
        <Prose text={words.orDemo} />
      </p>
      <p class="muted">{words.arrives}</p>
    </Nothing>
  );
}

/** Data, or its placeholder; existing data stays while newer requests fail. */
export function Shown<T>(props: {
  asked: { data: T | null; error: ApiError | null; refresh: () => void };
  what: string;
  children: (data: T) => ComponentChildren;
}): JSX.Element {
  const { data, error, refresh } = props.asked;
  if (data === null) return error === null ? <Loading what={props.what} /> : <Failure error={error} retry={refresh} />;
  return (
    <>
      {error !== null && !error.unreachable && <Failure error={error} retry={refresh} />}
      {props.children(data)}
    </>
  );
}
