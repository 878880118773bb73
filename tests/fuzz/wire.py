"""Fuzzing a real collector by HTTP: hostile bodies and parameters, with good bodies in between.

No answer is a 5xx but 503, none takes longer than a second, the process's memory stays, and every good body is
stored. What took longer is asked again at the end, alone: on a machine that does other work too, nothing else tells
its time from theirs. What takes longer then too is slow.
"""

import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from tests.collector.spans import PROTOBUF_HEADERS, Sender
from tests.collector.store_contents import store_contents
from tests.fuzz.targets import unpack
from tests.servers import Server, free_port
from tests.stores import prepare

SECONDS: Final = 1.0
AGAIN: Final = 3
"""So many times is what was slow asked again; the fastest counts."""
SLOW_KEPT: Final = 50
MEMORY_BYTES: Final = 200 << 20
"""More than after a third of the run; the first third fills caches."""
ANSWER_SECONDS: Final = 30
GOOD_EVERY: Final = 25
SERVICE: Final = "good"
_VALUES: Final = (
    *(
        "",
        "0",
        "-1",
        "1e400",
        "9" * 400,
        "NaN",
        "null",
        "true",
        "\x00",
        "'",
        '"',
        "%",
        "a" * 5000,
        "../../etc/passwd",
    ),
    *(
        "now",
        "1h",
        "-1h",
        "99999d",
        "2026-13-45",
        "\ud7ff\U0001f600",
        "{{7*7}}",
        "' OR 1=1 --",
        "[]",
        "*",
        "(other)",
    ),
)


@dataclass(frozen=True)
class Request:
    """What was asked, and how long it took."""

    method: str
    path: str
    options: dict[str, Any]
    seconds: float

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s: {self.method} {self.path} {str(self.options)[:300]}"


@dataclass
class Seen:
    """What the run has seen."""

    asked: int = 0
    refused: int = 0
    good: set[str] = field(default_factory=set)
    slow: list[Request] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Change, cut, repeat or join a few bytes."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(out) + 1)
        match chance.randrange(5):
            case 0 if out:
                out[place % len(out)] = chance.randrange(256)
            case 1:
                out[place:place] = chance.randbytes(chance.randint(1, 8))
            case 2:
                del out[place : place + chance.randint(1, 16)]
            case 3:
                out[place:place] = out[place : place + 32] * chance.randint(1, 40)
            case _ if out:
                out[place % len(out)] ^= 1 << chance.randrange(8)
    return bytes(out)


def fuzz(corpus: Sequence[bytes], seconds: float, folder: Path, seed: int) -> Seen:
    """Run against a collector of its own for so long; raises AssertionError with what was wrong."""
    chance, seen, port = random.Random(seed), Seen(), free_port()  # noqa: S311 - repeatable, not secret
    command = [sys.executable, "-m", "asgiscope_collector", "serve", "--port", str(port)]
    command += ["--data", str(prepare(folder / "data"))]
    env = {"ASGISCOPE_COLLECTOR_MAX_BODY_BYTES": str(4 << 20)}
    with (
        Server(
            command,
            port,
            cwd=folder,
            env=env,
            log=folder / "log",
            ready="/readyz",
            ready_status=200,
            within_s=180,
        ) as server,
        httpx.Client(base_url=server.url, timeout=ANSWER_SECONDS, trust_env=False) as http,
    ):
        assert server.process is not None
        paths = list(_operations(http.get("/api/openapi.json").json()))
        until, third = time.monotonic() + seconds, time.monotonic() + seconds / 3
        settled = 0
        while time.monotonic() < until:
            if not settled and time.monotonic() > third:
                settled = _rss(server.process.pid)
            if seen.asked % GOOD_EVERY == 0:
                _send_good(http, seen)
            if chance.random() < 0.3:
                _ask(http, seen, *_question(chance, paths))
            else:
                signal, encoding, content_type, body = unpack(mutate(chance.choice(corpus), chance))
                headers = {
                    "Content-Type": content_type,
                    **({"Content-Encoding": encoding} if encoding else {}),
                }
                _ask(http, seen, "POST", f"/v1/{signal}", content=body, headers=headers)
        slow = [each for each in sorted(seen.slow, key=_seconds)[-SLOW_KEPT:] if _is_slow(http, each)]
        grown = _rss(server.process.pid) - (settled or _rss(server.process.pid))
        deadline = time.monotonic() + 120
        while http.get("/api/status").json()["spool_bytes"] and time.monotonic() < deadline:
            time.sleep(0.1)
    stored = store_contents(folder / "data", SERVICE)["spans"]
    assert not seen.wrong, seen.wrong[:10]
    assert not slow, [str(each) for each in slow[-10:]]
    assert grown < MEMORY_BYTES, f"memory grew by {grown >> 20} MiB"
    assert stored == dict.fromkeys(seen.good, 1), (
        f"{len(seen.good - stored.keys())} good bodies are not stored"
    )
    return seen


def _send_good(http: httpx.Client, seen: Seen) -> None:
    sender = Sender(SERVICE)
    span = sender.request("GET", "/")
    answer = http.post("/v1/traces", content=sender.body(), headers=PROTOBUF_HEADERS)
    seen.asked += 1
    if answer.status_code == httpx.codes.OK:
        seen.good.add(span.span_id)
    elif answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
        seen.wrong.append(f"a good body was answered {answer.status_code}: {answer.text[:200]}")


def _ask(http: httpx.Client, seen: Seen, method: str, path: str, **options: Any) -> None:
    what = f"{method} {path} {str(options)[:300]}"
    began = time.monotonic()
    try:
        status = http.request(method, path, **options).status_code
    except httpx.InvalidURL:
        return
    except httpx.TimeoutException as error:
        raise AssertionError(f"no answer within {ANSWER_SECONDS} s: {what}") from error
    took = time.monotonic() - began
    seen.asked += 1
    seen.refused += status != httpx.codes.OK
    if took > SECONDS:
        seen.slow.append(Request(method, path, options, took))
    if status >= httpx.codes.INTERNAL_SERVER_ERROR and status != httpx.codes.SERVICE_UNAVAILABLE:
        seen.wrong.append(f"{status}: {what}")


def _seconds(request: Request) -> float:
    return request.seconds


def _is_slow(http: httpx.Client, request: Request) -> bool:
    """Ask again, and return whether it takes too long every time."""
    for _ in range(AGAIN):
        began = time.monotonic()
        http.request(request.method, request.path, **request.options)
        if time.monotonic() - began <= SECONDS:
            return False
    return True


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield each question of the API with its parameters' names; the endless one is left out."""
    for path, operations in document["paths"].items():
        if "get" in operations and path != "/api/live":
            yield (
                path,
                [each["name"] for each in operations["get"].get("parameters", ()) if each["in"] == "query"],
            )


def _question(chance: random.Random, paths: Sequence[tuple[str, list[str]]]) -> tuple[str, str]:
    path, names = chance.choice(paths)
    while "{" in path:
        before, _, rest = path.partition("{")
        value = chance.choice(["0" * 16, "f" * 32, "x", "%00", "..%2f", "a" * 300])
        path = before + value + rest.partition("}")[2]
    chosen = {name: chance.choice(_VALUES) for name in names if chance.random() < 0.5}
    return "GET", f"{path}?{httpx.QueryParams(chosen)}"


def _rss(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096
