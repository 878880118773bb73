# ruff: noqa: T201 - a program: what it prints is its result
"""Compare what asgiscope and its peers cost: `make bench-peers`, or `python -m tests.peers [--help] [PEER...]`.

Every peer runs the same site, in an environment of its own, under uvicorn on one processor; the load comes from
another. The servers take turns, a round each, and are compared by processor time a request (user and system, all
threads of the server) divided by that of the site without any peer in the same round. A round ends with a pause in
which what was recorded leaves. The table is Markdown: docs/comparison.md holds its last output.
"""

import argparse
import http.client
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx

from tests.benchmarks._load import ask_in_turn, processor_ns
from tests.e2e.environments import library_python, make
from tests.e2e.postgres import postgres
from tests.peers.catalogue import PEERS, SITE, Peer
from tests.servers import Server, free_port
from tests.tools import ROOT

FOLDER: Final = Path(__file__).parent / "site"
PAUSE_SECONDS: Final = 0.6
"""Longer than any peer is told to wait until it sends."""
HOPS_REQUESTS: Final = 10
BARE: Final = "bare"
MIB: Final = 1024
"""KiB, as /proc counts."""


class Running:
    """A server of the site with one peer."""

    def __init__(self, name: str, peer: Peer, sink: int, folder: Path, options: argparse.Namespace) -> None:
        self.name, self.peer, self.sink = name, peer, sink
        self.port = free_port()
        own = folder / name
        own.mkdir()
        extra = {"uvloop": ("uvloop",), "asyncio": ()}[options.loop]
        extra += ("psycopg[binary]",) if options.postgresql else ()
        python = options.python
        self.environment = make(
            *SITE, *extra, *peer.requirements, python=python, with_asgiscope=peer.has_asgiscope
        )
        fills = {"sink": f"http://127.0.0.1:{sink}", "port": str(sink), "folder": str(own)}
        env = {
            "PATH": f"{Path(self.environment.python).parent}:{os.environ['PATH']}",
            "DJANGO_SETTINGS_MODULE": "peer_settings",
            "PEER_AGENT": peer.agent,
            "PEER_FOLDER": str(own),
            "PEER_ENGINE": "postgresql" if options.postgresql else "sqlite",
            "PEER_POSTGRES_PORT": str(options.postgresql or ""),
            "PEER_DATABASE": "postgres" if options.postgresql else str(own / "db.sqlite3"),
            **{key: value.format(**fills) for key, value in peer.env.items()},
        }
        command = [self.environment.python, *peer.launcher, "uvicorn", "peer_site:application"]
        command += ["--port", str(self.port), "--loop", options.loop, "--no-access-log"]
        command += ["--log-level", "warning", "--timeout-keep-alive", "600"]
        self.server = Server(
            command, self.port, cwd=FOLDER, env=env, log=own / "log", ready="/page/0/", ready_status=200
        )
        self.cpu: list[float] = []
        """Microseconds of processor time a request, by round."""
        self.took: list[int] = []
        """Nanoseconds that each request took."""

    def start(self, cpu: int) -> None:
        """Start the server on one processor; this process keeps the others."""
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {cpu})
        try:
            self.server.__enter__()
        finally:
            os.sched_setaffinity(0, mine)
        self.client = http.client.HTTPConnection("127.0.0.1", self.port)

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self.server.process is not None
        return self.server.process.pid

    def ask(self, number: int) -> list[int]:
        """Send requests one after another on one connection; return the nanoseconds that each took."""
        return ask_in_turn(self.client, number)

    def round(self, requests: int) -> None:
        """Measure one round."""
        before = processor_ns(self.pid)
        self.took += self.ask(requests)
        time.sleep(PAUSE_SECONDS)
        self.cpu.append((processor_ns(self.pid) - before) / 1e3 / requests)

    def hops(self) -> float:
        """Return how many functions a request sends to threads."""
        counts = []
        for requests in (0, HOPS_REQUESTS):
            httpx.get(f"http://127.0.0.1:{self.port}/count/begin/")
            self.ask(requests)
            counts.append(httpx.get(f"http://127.0.0.1:{self.port}/count/end/").json()["submitted"])
        return float(counts[1] - counts[0]) / HOPS_REQUESTS

    def memory_mib(self) -> float:
        """Resident memory of the server's process."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / MIB

    def received(self) -> int:
        """Bytes that its sink got."""
        return int(httpx.get(f"http://127.0.0.1:{self.sink}/received").json())

    def version(self) -> str:
        """Return the version of what it runs, from its environment."""
        name = (
            "asgiscope" if self.peer.has_asgiscope else self.peer.package.partition("==")[0].partition("[")[0]
        )
        code = f"from importlib.metadata import version; print(version({name!r}))"
        command = [self.environment.python, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _row(running: Running, bare: Running) -> str:
    ratios = [mine / its for mine, its in zip(running.cpu, bare.cpu, strict=True)]
    took, usual = (statistics.quantiles(server.took, n=100) for server in (running, bare))
    sent = running.received()
    if running.peer.sends and not sent:
        return f"| {running.name} | {running.version()} | sent nothing: not measured | | | | | | |"
    requests, hops = len(running.took), running.hops() - bare.hops()
    return (
        f"| {running.name} | {running.version()} | {running.peer.records} "
        f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
        f"| {took[49] / usual[49]:.2f} | {took[98] / usual[98]:.2f} "
        f"| {hops:+.0f} | {running.memory_mib() - bare.memory_mib():+.0f} | {sent / requests:,.0f} |"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.peers")
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"which; all by default: {', '.join(PEERS)}")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--requests", type=int, default=200, help="requests a round (200)")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--postgresql", action="store_true", help="PostgreSQL instead of SQLite")
    options = parser.parse_args()
    unknown = set(options.peers) - set(PEERS)
    if unknown:
        parser.error(f"no peer is called {min(unknown)}; there are: {', '.join(PEERS)}")
    python = library_python()
    if python is None:
        parser.error("some peers need Python 3.12 or newer; ASGISCOPE_TEST_PYTHONS names interpreters")
    options.python = python
    return options


def main() -> None:
    """Run the peers and print the table."""
    options = _options()
    wanted = [BARE, *(name for name in options.peers or PEERS if name != BARE)]
    cpus = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="peers-")))
        if options.postgresql:
            options.postgresql = stack.enter_context(postgres())
        sinks = [free_port() for _ in wanted]
        command = [sys.executable, "-m", "tests.peers.sink", *map(str, sinks)]
        stack.enter_context(Server(command, sinks[-1], cwd=ROOT, log=folder / "sink.log", ready_status=200))
        servers: list[Running] = []
        for name, sink in zip(wanted, sinks, strict=True):
            print(f"starting {name}", file=sys.stderr, flush=True)
            running = Running(name, PEERS[name], sink, folder, options)
            running.start(cpus[0])
            stack.callback(running.server.__exit__, None, None, None)
            running.ask(options.requests)
            servers.append(running)
        os.sched_setaffinity(0, set(cpus[1:]) or {cpus[0]})
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
            for running in servers:
                running.round(options.requests)
        version = (
            platform.python_version() if options.python == sys.executable else Path(options.python).parts[-3]
        )
        print(
            f"Python {version}, {', '.join(SITE)}, {options.loop}, "
            f"{'PostgreSQL' if options.postgresql else 'SQLite'}; {options.rounds} rounds of {options.requests} "
            f"requests of 4 queries and 8 bridge calls; without a peer {statistics.median(servers[0].cpu):,.0f} us "
            "of processor time a request.\n"
        )
        print(
            "| peer | version | records | processor time (rounds) | p50 | p99 | hops | MiB | bytes sent a request |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        for running in servers:
            print(_row(running, servers[0]), flush=True)
        for running in servers:
            if running.peer.remark:
                print(f"\n{running.name}: {running.peer.remark}.")


if __name__ == "__main__":
    main()
