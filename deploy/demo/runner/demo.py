"""The demo from start to end: what is started in which order, with which environment."""

import asyncio
import base64
import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx
from asgiscope_collector.schemas import Findings, Traces

from problems import API, ENVIRONMENT_VARIABLE, WEB
from runner import traffic
from runner.processes import Children
from runner.report import Report, alert_lines

SITE: Final = Path(__file__).resolve().parent.parent
HOST: Final = "127.0.0.1"
OTLP_PORT: Final = 4318
START_SECONDS: Final = 90.0
"""How long a service may take until it answers; the collector's engine starts cold the first time."""
ARRIVAL_SECONDS: Final = 20.0
"""How long the last spans may take from the site's end until they show in the findings."""
SETTLED_SECONDS: Final = 2.0
"""No finding counts up for so long: everything has arrived."""
MAX_FINDINGS: Final = 200
_POLL_SECONDS: Final = 0.25


class DemoError(RuntimeError):
    """The demo cannot go on. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line and the environment ask for."""

    seconds: float | None
    """Stop and check after so many seconds of traffic; None: run until stopped."""
    port: int | None
    data: Path
    fixes: frozenset[str]


class Demo:
    """One run. Use it once."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._tally = traffic.Tally()
        self._pager_secret = f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"
        self.children = Children(options.data / "logs")

    async def run(self) -> int:
        """Start everything, send traffic, and stop everything, also when cancelled.

        Returns:
            The exit status: 0 when there was nothing to check or the check found what it must.

        Raises:
            InUseError: another demo runs in the data folder.
            DemoError: a port is taken, or a service does not answer.
            ChildError: a process of the demo ended.
        """
        with self.children:
            try:
                return await self._run()
            finally:
                await self.children.stop_all()
                if self._tally.requests:
                    _say(f"The traffic was {self._tally.requests} requests.")

    async def _run(self) -> int:
        collector_port = _collector_port(self._options.port)
        supplier_port, pager_port, web_port, api_port = _free_ports(4)
        collector_url, web_url, api_url = (_url(port) for port in (collector_port, web_port, api_port))

        _say(f"Starting the collector; logs are in {self._options.data / 'logs'} ...")
        self._start_pager(pager_port)
        self._start_collector(collector_port, pager_port)
        _say("Preparing the shop's database ...")
        await self._prepare_site()  # while the collector starts
        await self._until_ready(f"{collector_url}/readyz")
        _say("Starting the shop ...")
        self._start_supplier(supplier_port)
        shared = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector_url,
            "SHOP_SUPPLIER_URL": _url(supplier_port),
        }
        self._start_site(WEB, web_port, {**shared, "SHOP_BACKGROUND": "1", **self._unsafe()}, loop="auto")
        self._start_site(API, api_port, shared, loop="asyncio")
        await self._until_ready(f"{web_url}/")
        await self._until_ready(f"{api_url}/api/products/")

        _say(f"The one who is on call gets alerts at {_url(pager_port)}/")
        if self._options.seconds is None:
            _say(f"Open {collector_url}/ (the shop is at {web_url}/; Ctrl-C stops everything)")
        else:
            _say(f"Open {collector_url}/ (the shop is at {web_url}/; stops in {self._options.seconds:g} s)")
        await self._send_traffic(web_url, api_url)
        return await self._check(collector_url, _url(pager_port))

    def _start_pager(self, port: int) -> None:
        environment = self._environment({"PAGER_SECRET": self._pager_secret})
        self.children.start("pager", _uvicorn("pager:application", port, "asyncio"), environment, SITE)

    def _start_collector(self, port: int, pager_port: int) -> None:
        # A check counts what this run sends and nothing older; a demo without end keeps its history.
        if self._options.seconds is None:
            data = self._options.data / "collector"
        else:
            data = self._options.data / "check"
            shutil.rmtree(data, ignore_errors=True)
        self.children.start(
            "collector",
            [
                *(sys.executable, "-m", "asgiscope_collector", "serve"),
                *("--host", HOST, "--port", str(port), "--data", str(data)),
            ],
            self._environment(
                {
                    "ASGISCOPE_COLLECTOR_ALERTS": str(SITE / "alerts.yaml"),
                    "PAGER_URL": f"{_url(pager_port)}/alerts",
                    "PAGER_SECRET": self._pager_secret,
                }
            ),
            SITE,
        )

    async def _prepare_site(self) -> None:
        for command in ("migrate", "seed"):
            environment = self._environment({"ASGISCOPE_DISABLED": "1"})
            child = self.children.start(command, [sys.executable, "manage.py", command], environment, SITE)
            await self.children.finish(child)

    def _start_supplier(self, port: int) -> None:
        command = _uvicorn("supplier:application", port, "auto")
        self.children.start("supplier", command, self._environment({}), SITE)

    def _start_site(self, service: str, port: int, variables: Mapping[str, str], *, loop: str) -> None:
        fixes = "+".join(sorted(self._options.fixes))
        environment = self._environment(
            {
                **variables,
                "OTEL_SERVICE_NAME": service,
                "ASGISCOPE_SOURCE_LINES": "4",  # the shop's source is public
                "OTEL_RESOURCE_ATTRIBUTES": f"service.version={fixes or 'as-planted'},"
                "deployment.environment.name=demo",
            }
        )
        command = _uvicorn("shopsite.asgi:application", port, loop)
        self.children.start(service, command, environment, SITE)

    def _unsafe(self) -> dict[str, str]:
        """Return the variable that teams set to silence Django's guard; the fixed shop does without."""
        if {"orm_on_loop", "lazy_queryset"} <= self._options.fixes:
            return {}
        return {"DJANGO_ALLOW_ASYNC_UNSAFE": "1"}

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OTEL_", "DJANGO_", "SHOP_")) and name != "ASGISCOPE_ENDPOINT"
        }
        return {
            **inherited,
            "PYTHONUNBUFFERED": "1",
            "NO_PROXY": HOST,
            "no_proxy": HOST,
            "DJANGO_SETTINGS_MODULE": "shopsite.settings",
            "SHOP_DATA": str(self._options.data / "shop"),
            ENVIRONMENT_VARIABLE: ",".join(sorted(self._options.fixes)),
            **variables,
        }

    async def _until_ready(self, url: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        answer = ""
        async with _client() as client:
            while time.monotonic() < deadline:
                self.children.check()
                try:
                    status = (await client.get(url)).status_code
                except httpx.TransportError as error:  # it does not listen yet
                    answer = repr(error)
                else:
                    if status == HTTPStatus.OK:
                        return
                    answer = f"status {status}"
                await asyncio.sleep(_POLL_SECONDS)
        raise DemoError(
            f"{url} is not ready after {START_SECONDS:g} s (the last answer: {answer}); "
            f"see {self._options.data / 'logs'}"
        )

    async def _send_traffic(self, web_url: str, api_url: str) -> None:
        """For as long as asked; an end of any child, or of the traffic itself, is an error."""
        tasks = [
            asyncio.create_task(traffic.run(web_url, api_url, self._tally)),
            asyncio.create_task(self.children.watch()),
        ]
        try:
            done, _ = await asyncio.wait(
                tasks, timeout=self._options.seconds, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _check(self, collector_url: str, pager_url: str) -> int:
        """Let the sites send their last spans, wait until all has arrived, and tell."""
        _say("Waiting for the last findings ...")
        await self.children.stop(WEB, API)
        try:
            async with _client(collector_url) as client:
                report = await self._arrived(client)
                silent = [service for service in (WEB, API) if not await _has_traces(client, service)]
            async with _client(pager_url) as client:
                alerts = await self._paged(client, expected=not self._options.fixes)
        except httpx.HTTPError as error:
            raise DemoError(
                f"the collector did not tell its findings ({error!r}); see {self._options.data / 'logs'}"
            ) from error
        _say("\n".join(report.lines()))
        _say("\n".join(alert_lines(alerts)))
        for trouble in self._tally.errors():
            _say(f"The traffic met: {trouble}")
        if silent:
            raise DemoError(
                f"no trace of {' and '.join(silent)} arrived; see {self._options.data / 'logs'} for why"
            )
        untold = not alerts and not self._options.fixes
        return 1 if report.missing or report.lingering or untold else 0

    async def _arrived(self, client: httpx.AsyncClient) -> Report:
        """Return the report once nothing is missing and no count grows, or when the time for that is over."""
        deadline = time.monotonic() + ARRIVAL_SECONDS
        count, since = -1, time.monotonic()
        while True:
            self.children.check()
            response = await client.get("/api/findings", params={"limit": MAX_FINDINGS})
            response.raise_for_status()
            report = Report(Findings.model_validate_json(response.content).findings, self._options.fixes)
            now = time.monotonic()
            if (counted := sum(finding.count for finding in report.findings)) != count:
                count, since = counted, now
            if now > deadline or (not report.missing and now - since > SETTLED_SECONDS):
                return report
            await asyncio.sleep(_POLL_SECONDS)

    async def _paged(self, client: httpx.AsyncClient, *, expected: bool) -> list[dict[str, Any]]:
        """Return what the pager was sent; where something is expected, once it is there or its time is over."""
        deadline = time.monotonic() + ARRIVAL_SECONDS
        while True:
            self.children.check()
            response = await client.get("/messages")
            response.raise_for_status()
            messages: list[dict[str, Any]] = response.json()
            if messages or not expected or time.monotonic() > deadline:
                return messages
            await asyncio.sleep(_POLL_SECONDS)


async def _has_traces(client: httpx.AsyncClient, service: str) -> bool:
    response = await client.get("/api/traces", params={"service": service, "limit": 1})
    response.raise_for_status()
    return bool(Traces.model_validate_json(response.content).traces)


def _client(base_url: str = "") -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=base_url, timeout=traffic.TIMEOUT_SECONDS, trust_env=False)


def _uvicorn(application: str, port: int, loop: str) -> list[str]:
    return [
        *(sys.executable, "-m", "uvicorn", application),
        *("--host", HOST, "--port", str(port), "--loop", loop),
        *("--lifespan", "on" if application.startswith("shopsite") else "off"),
        *("--timeout-graceful-shutdown", "3", "--log-level", "warning"),
    ]


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"


def _collector_port(asked: int | None) -> int:
    """Return the port asked for; without one, OTLP's usual port, or any free one where that is taken.

    Raises:
        DemoError: the port that was asked for is taken.
    """
    wanted = OTLP_PORT if asked is None else asked
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            if asked is not None:
                raise DemoError(
                    f"port {asked} is taken; choose another with --port, or leave it out for a free one"
                ) from None
        else:
            return wanted
    (port,) = _free_ports(1)
    _say(f"Port {OTLP_PORT} is taken; the collector listens on {port} instead.")
    return port


def _free_ports(count: int) -> tuple[int, ...]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for free in sockets:
            free.bind((HOST, 0))
        return tuple(free.getsockname()[1] for free in sockets)


def _say(text: str) -> None:
    print(text, flush=True)
