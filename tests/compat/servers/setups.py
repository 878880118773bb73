"""The servers, each as users start it: its command, the loop it runs, and what it can do besides serving."""

import re
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.compat.pythons import interpreters
from tests.e2e.environments import Environment, make

SERVERS: Final = (
    *("django>=5.2,<5.3", "uvicorn", "httptools", "uvloop", "gunicorn", "uvicorn-worker"),
    *("granian[reload,rloop]", "hypercorn[trio]", "daphne"),
)
POUNCE: Final = ("django~=6.0.0", "bengal-pounce")
_WORKERS: Final = re.compile(r"--workers (\d+)")


@dataclass(frozen=True)
class Setup:
    """A server and how it is started. `{port}` stands for the port."""

    name: str
    command: str
    """The console script and its arguments, without the application."""
    application: str = "basics:application"
    quiet: str = ""
    """What switches the access log off."""
    reload: str = ""
    """The arguments with which it restarts when a file has changed; empty: it cannot."""
    max_requests: str = ""
    """The arguments with which a worker ends after eight requests and another takes its place."""
    timeout: str = ""
    """The arguments with which a worker that blocks for three seconds is killed."""
    requirements: tuple[str, ...] = SERVERS
    newest_python: bool = False
    python: str = ""
    """Its interpreter; empty: the one that runs the tests."""
    started: str = ""
    """What its log says of each worker once it serves: a signal before that is lost (granian waits for ever)."""
    ends_workers: bool = True
    """Whether its workers end by themselves at SIGTERM; one that is killed sends nothing more."""
    named: tuple[str, ...] = ()
    """Words of the line that names what is not supported."""
    noise: tuple[str, ...] = field(default=())
    """Patterns of log lines that name a fault of the server's own, with or without asgiscope."""

    @property
    def workers(self) -> int:
        """How many processes serve."""
        found = _WORKERS.search(self.command)
        return int(found[1]) if found else 1

    def environment(self) -> Environment:
        """Return its environment, made now or kept.

        Raises:
            UnavailableError: it needs a Python that cannot be had here.
        """
        if self.newest_python:
            return make(*self.requirements, python=_newest())
        return make(*self.requirements, python=self.python or sys.executable)

    def arguments(self, environment: Environment, port: int, *extra: str) -> list[str]:
        """Return the whole command."""
        script, *rest = f"{self.command} {self.quiet} {' '.join(extra)}".format(port=port).split()
        return [str(Path(environment.folder, "bin", script)), *rest, self.application]


@cache
def _newest() -> str:
    return interpreters()[0]


_GUNICORN = "gunicorn --bind 127.0.0.1:{port} --no-control-socket"
_LIMITS: Final[dict[str, Any]] = {
    "reload": "--reload",
    "max_requests": "--max-requests 8",
    "timeout": "--timeout 3",
}
_UVICORN: Final[dict[str, Any]] = {"quiet": "--no-access-log", "reload": "--reload"}
_HYPERCORN: Final[dict[str, Any]] = {
    "reload": "--reload",
    "max_requests": "--max-requests 8",
    # What it logs of an application without lifespan, as Django is.
    "noise": (r"ASGI Framework Lifespan error",),
}
_GRANIAN: Final[dict[str, Any]] = {"started": "Started worker-"}
# What it logs of an application without lifespan, as Django is.
_POUNCE_NOISE: Final = (r"Worker (startup|shutdown) hook (failed|raised)", r"raised during lifespan protocol")
SETUPS: Final = [
    Setup("uvicorn h11 asyncio", "uvicorn --port {port} --http h11 --loop asyncio", **_UVICORN),
    Setup("uvicorn httptools asyncio", "uvicorn --port {port} --http httptools --loop asyncio", **_UVICORN),
    Setup("uvicorn h11 uvloop", "uvicorn --port {port} --http h11 --loop uvloop", **_UVICORN),
    Setup("uvicorn httptools uvloop", "uvicorn --port {port} --http httptools --loop uvloop", **_UVICORN),
    Setup(
        "uvicorn 2 workers",
        "uvicorn --port {port} --workers 2",
        quiet="--no-access-log",
        max_requests="--limit-max-requests 8",
    ),
    Setup("gunicorn asgi asyncio", f"{_GUNICORN} -k asgi --asgi-loop asyncio", **_LIMITS),
    Setup("gunicorn asgi uvloop", f"{_GUNICORN} -k asgi --asgi-loop uvloop", **_LIMITS),
    Setup("gunicorn asgi 2 workers", f"{_GUNICORN} -k asgi --workers 2"),
    Setup(
        "gunicorn uvicorn's worker",
        f"{_GUNICORN} -k uvicorn_worker.UvicornWorker",
        # gunicorn's reloader ends a worker by its `alive`, which uvicorn's never reads: it serves the old code on.
        **{**_LIMITS, "reload": ""},
        noise=(r"\[INFO\] Error while closing socket",),  # gunicorn's; uvicorn has closed it before
    ),
    Setup(
        "granian asyncio",
        "granian --port {port} --interface asginl --loop asyncio",
        reload="--reload",
        **_GRANIAN,
    ),
    Setup(
        "granian uvloop",
        "granian --port {port} --interface asginl --loop uvloop",
        reload="--reload",
        **_GRANIAN,
    ),
    Setup(
        "granian rloop",
        "granian --port {port} --interface asginl --loop rloop",
        reload="--reload",
        **_GRANIAN,
    ),
    Setup(
        "granian rloop 2 workers",
        "granian --port {port} --interface asginl --loop rloop --workers 2",
        **_GRANIAN,
    ),
    Setup(
        "granian uvloop 2 workers",
        "granian --port {port} --interface asginl --loop uvloop --workers 2",
        **_GRANIAN,
    ),
    Setup("hypercorn asyncio", "hypercorn --bind 127.0.0.1:{port} -k asyncio", **_HYPERCORN),
    Setup("hypercorn uvloop", "hypercorn --bind 127.0.0.1:{port} -k uvloop", **_HYPERCORN),
    Setup("daphne", "daphne -b 127.0.0.1 -p {port}"),
    Setup(
        "pounce",
        "pounce serve --port {port}",
        application="--app=basics:application",
        quiet="--no-access-log",  # no reload: it imports the site again in the same process, which stays
        requirements=POUNCE,
        newest_python=True,
        noise=_POUNCE_NOISE,
    ),
    Setup(
        "pounce 2 workers",
        "pounce serve --port {port} --worker-mode async --workers 2",
        application="--app=basics:application",
        quiet="--no-access-log",
        requirements=POUNCE,
        newest_python=True,
        ends_workers=False,  # its supervisor waits 10 s for them and kills them, with or without asgiscope
        noise=_POUNCE_NOISE,
    ),
]
UNSUPPORTED: Final = [
    Setup("hypercorn trio", "hypercorn --bind 127.0.0.1:{port} -k trio", named=("asyncio", "-k uvloop")),
    Setup(
        "pounce subinterpreters",
        "pounce serve --port {port} --worker-mode subinterpreter --workers 2",
        application="--app=basics:application",
        quiet="--no-access-log",
        requirements=POUNCE,
        newest_python=True,
        named=("subinterpreter", "not active"),
    ),
]
"""Those that asgiscope names in one line and leaves alone."""
SHORT: Final = ("uvicorn httptools uvloop", "gunicorn asgi asyncio", "granian rloop")
"""Those that run in `make test`; tests/e2e has uvicorn, daphne, hypercorn and gunicorn's other worker too."""
