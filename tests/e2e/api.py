"""The collector's JSON API as tests read it."""

import time
from collections.abc import Callable
from typing import Any

import httpx

ARRIVAL_SECONDS = 90
"""How long a span may take from the site to the API before a test gives up."""

Json = dict[str, Any]


class Api:
    """A client of one running collector."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def ask(self, path: str, **parameters: str | int) -> httpx.Response:
        """Any answer."""
        return self._http.get(path, params=parameters)


def named(spans: list[Json], name: str) -> list[Json]:
    """Return the spans of this name."""
    return [span for span in spans if span["name"] == name]


def server_span(spans: list[Json]) -> Json:
    """Return the request's own span."""
    (span,) = [span for span in spans if span["kind"] == "Server"]
    return span


def calls_of(spans: list[Json], function: str) -> list[Json]:
    """Return the `sync_to_async` calls made by a function's own lines, in the order of time."""
    calls = [span for span in spans if span["name"].startswith("sync_to_async ")]
    return [span for span in calls if span["attributes"].get("code.function.name") == function]


class Evidence:
    """What the collector knows of one service."""

    def __init__(self, api: Api, service: str) -> None:
        self._api = api
        self.service = service

    def findings(self, kind: str = "") -> list[Json]:
        """Return the service's findings, of one kind or of all, as they are now."""
        answer = self._api.ask("/api/findings", service=self.service)
        found: list[Json] = answer.raise_for_status().json()["findings"]
        return [finding for finding in found if kind in ("", finding["kind"])]

    def finding(self, kind: str, function: str, route: str) -> Json:
        """Return the one finding of this kind at this function and on this route, once it is there."""

        def ask() -> list[Json]:
            found = [f for f in self.findings(kind) if f["call_site"]["function"] == function]
            return [finding for finding in found if route in finding["routes"]]

        found: list[Json] = self.wait_for(ask, f"finding {kind} at {function} on {route}")
        assert len(found) == 1, found
        return found[0]

    def traces(self) -> list[Json]:
        """Return the service's traces, newest first; the last 500."""
        answer = self._api.ask("/api/traces", service=self.service, limit=500)
        found: list[Json] = answer.raise_for_status().json()["traces"]
        return found

    def spans(self, trace_id: str) -> list[Json]:
        """Return the spans of a trace that have arrived, by start time; none if the trace is not known yet."""
        answer = self._api.ask(f"/api/traces/{trace_id}", limit=1000)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        found: list[Json] = answer.raise_for_status().json()["spans"]
        return found

    def request(self, trace_id: str) -> list[Json]:
        """Return the spans of a request that has ended: its server span leaves last, so with it there are all."""
        found: list[Json] = self.wait_for(
            lambda: self._whole(trace_id), f"trace {trace_id} with its server span"
        )
        return found

    def _whole(self, trace_id: str) -> list[Json]:
        spans = self.spans(trace_id)
        return spans if any(span["kind"] == "Server" for span in spans) else []

    def wait_for(self, ask: Callable[[], Any], what: str) -> Any:
        """Return what `ask` answers as soon as it is true.

        Raises:
            AssertionError: it did not become true in time; the message has the findings there are.
        """
        deadline = time.monotonic() + ARRIVAL_SECONDS
        while not (result := ask()):
            if time.monotonic() > deadline:
                known = "\n".join(f"{f['kind']} {f['call_site']}" for f in self.findings())
                raise AssertionError(f"no {what} for {self.service}; findings:\n{known}")
            time.sleep(0.1)
        return result
