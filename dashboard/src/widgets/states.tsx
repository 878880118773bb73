/** What stands in the place of data while there is none. */

import type { ComponentChildren, JSX } from "preact";
import type { ApiError } from "../api/client";
import { RANGES } from "../model/route";
import { linkTo, since } from "./location";

export function Loading({ what }: { what: string }): JSX.Element {
  return (
    <div class="state" role="status">
      <span class="spinner" aria-hidden="true" />
      Loading {what} …
    </div>
  );
}

export function Failure({ error, retry }: { error: ApiError; retry: () => void }): JSX.Element {
  return (
    <div class="state state-error" role="alert">
      <h2>{error.message}</h2>
      {error.hint !== "" && <p>{error.hint}</p>}
      <button type="button" onClick={retry}>
        Try again
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

/** `hour`, `7 days`: what stands behind "the last". */
function rangeWords(): string {
  return (RANGES.find(([value]) => value === since.value)?.[1] ?? since.value).replace(/^1 /u, "");
}

/** No data at all in the range: most likely nothing was ever sent, so say how. */
export function NoData({ what }: { what: string }): JSX.Element {
  const endpoint = new URL(".", window.location.href).href.replace(/\/$/u, "");
  return (
    <Nothing title={`No ${what} in the last ${rangeWords()}`}>
      {since.value !== "7d" && (
        <p>
          <a href={linkTo("overview", "", { since: "7d" })}>Look at the last 7 days</a>, or send some data:
        </p>
      )}
      <ol class="howto">
        <li>
          Install it beside Django: <pre>pip install asgiscope</pre>
        </li>
        <li>
          Switch it on, in settings.py: <pre>INSTALLED_APPS += ["asgiscope"]</pre>
        </li>
        <li>
          Start the site as ever, and say where to send:
          <pre>{`OTEL_SERVICE_NAME=mysite OTEL_EXPORTER_OTLP_ENDPOINT=${endpoint} uvicorn mysite.asgi:application`}</pre>
        </li>
      </ol>
      <p class="muted">This page looks again every few seconds and shows what arrives.</p>
    </Nothing>
  );
}

/** Data, or what stands in its place; data that was there stays while newer answers fail. */
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
