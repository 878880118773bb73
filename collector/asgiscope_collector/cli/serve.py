"""`serve`: receive OTLP, answer the API and serve the dashboard."""

import argparse
import gc
import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from asgiscope_collector import __version__
from asgiscope_collector.cli.common import Subparsers, add_data, fail, raise_file_limit, settings_of
from asgiscope_collector.settings import PREFIX, Settings, SettingsError
from asgiscope_collector.store.bootstrap import missing_engine
from asgiscope_collector.store.lock import FolderInUseError, FolderLock
from asgiscope_collector.web.app import create_app

logger = logging.getLogger("asgiscope_collector")

_BACKLOG = 2048
_GRACE_SHARE = 0.4
"""Share of the stop time that is left for requests in progress."""
_ALARM_SECONDS = 2
"""Time after the deadline until SIGALRM ends the process, if a thread holds the GIL and the deadline's thread
cannot run.
"""
_GARBAGE = 10_000
"""Garbage collection threshold of generation 0; a body of 1,024 spans alone exceeds the default of 700."""


def register(commands: Subparsers) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "serve",
        help="take OTLP, answer the API, serve the dashboard",
        description="Take OTLP, answer the API and serve the dashboard, until SIGTERM or Ctrl-C.",
    )
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (4318); 0 takes a free one")
    parser.add_argument("--grpc", action="store_true", help="take OTLP over gRPC too (needs the extra grpc)")
    parser.add_argument("--grpc-port", type=int, help="port for gRPC (4317); 0 takes a free one")
    add_data(parser)
    parser.add_argument(
        "--insecure-open",
        action="store_true",
        help="allow an address that other machines reach: anyone who does can read and write",
    )
    parser.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Serve with the settings from the flags and the environment."""
    return serve(
        settings_of(
            asked,
            host=asked.host,
            port=asked.port,
            grpc=asked.grpc or None,
            grpc_port=asked.grpc_port,
            insecure_open=asked.insecure_open or None,
        )
    )


def serve(settings: Settings) -> int:
    """Serve until a signal arrives; return 0, or 1 with one line on stderr if the server could not start."""
    # The working directory changes to the data folder below.
    settings = replace(
        settings,
        data=settings.data.absolute(),
        alerts=_absolute(settings.alerts),
        ingest_tokens=_absolute(settings.ingest_tokens),
        users_file=_absolute(settings.users_file),
        mask=_absolute(settings.mask),
        oidc_secret_file=_absolute(settings.oidc_secret_file),
    )
    try:
        raise_file_limit()
        _check_rules(settings.alerts)
        _check_engine(settings)
        with FolderLock(settings.data):
            _use_temporary_folder(settings.data / "tmp")
            # The engine writes a copy of each schema that it decodes with to its working directory.
            os.chdir(settings.data)
            listener = _bind(settings)
            with listener:
                return _run(settings.with_port(listener.getsockname()[1]), listener)
    except (FolderInUseError, SettingsError) as error:
        return fail(str(error))
    except OSError as error:
        if error.errno is None:
            return fail(str(error))
        return fail(
            f"the data folder {settings.data} cannot be used: {error.strerror} ({error.filename}): "
            "name one that this user can write, with --data"
        )


def _check_rules(path: str) -> None:
    """Refuse to start if the rules file cannot be read; mistakes in its rules are only reported.

    Raises:
        SettingsError: the file of alert rules cannot be read.
    """
    if path:
        try:
            with Path(path).open("rb") as file:
                file.read(1)
        except OSError as error:
            raise SettingsError(f"{PREFIX}ALERTS: {path} cannot be read: {error.strerror}") from None


def _check_engine(settings: Settings) -> None:
    """Refuse to start without the embedded engine if the store is to be opened by it.

    Raises:
        SettingsError: it is not installed.
    """
    if missing := missing_engine(settings.store_address):
        raise SettingsError(missing)


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if path else ""


def _run(settings: Settings, listener: socket.socket) -> int:
    fatal: list[str] = []

    def stop(reason: str) -> None:
        fatal.append(reason)
        server.begin_to_stop()

    app = create_app(settings, on_fatal=stop)
    server = server_of(app)
    # uvicorn handles these signals while it runs and raises them again after it has stopped, when all work is
    # done.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    signal.signal(signal.SIGHUP, lambda *_: app.state.collector.alerting.reload())
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    logger.info("asgiscope-collector %s listens on http://%s:%d", __version__, host, settings.port)
    _collect_less()
    server.end_process_in_time()
    server.run(sockets=[listener])
    return fail(fatal[0]) if fatal else 0


def _collect_less() -> None:
    """Exclude the imported modules from garbage collection, and collect less often.

    A full collection holds the GIL for about an eighth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE)


def _use_temporary_folder(folder: Path) -> None:
    """Use our disk for temporary files, not a small or read-only /tmp.

    The engine's client writes each insert to one, and importing the engine makes a folder there.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)


class Server(uvicorn.Server):
    """uvicorn's server, in a process that exits at most `stop_seconds` after it was asked to.

    If the deadline ends the process, its exit status is 1.
    """

    def __init__(self, config: uvicorn.Config, stop_seconds: float) -> None:
        super().__init__(config)
        self._stop_seconds = stop_seconds
        self._ends_process = False
        self._deadline: threading.Timer | None = None

    def end_process_in_time(self) -> None:
        """Let the deadline end the process. Do not call this for a server that is only a part of its process."""
        self._ends_process = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start to stop on a signal; a second SIGINT does not wait for requests."""
        super().handle_exit(sig, frame)
        self.begin_to_stop()

    def begin_to_stop(self) -> None:
        """Accept no more requests, and end the process at the deadline if it is still running."""
        self.should_exit = True
        if not self._ends_process or self._deadline is not None:
            return
        self._deadline = threading.Timer(self._stop_seconds, self._end)
        self._deadline.daemon = True
        self._deadline.start()
        # The kernel's default action for this signal ends the process without the interpreter.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, self._stop_seconds + _ALARM_SECONDS)

    def _end(self) -> None:
        logger.warning(
            "not stopped within %g s: ended as it is; what was accepted and is not stored is on the disk, and is "
            "stored after the next start (see ASGISCOPE_COLLECTOR_STOP_SECONDS)",
            self._stop_seconds,
        )
        logging.shutdown()
        # Not a normal exit: the interpreter would wait, and close the engine while a query runs.
        os._exit(1)


def server_of(app: FastAPI) -> Server:
    """Return the server for the app: one process, because the engine must not be forked and locks its folder."""
    stop_seconds = app.state.collector.settings.stop_seconds
    server = Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            log_level=logging.WARNING,
            server_header=False,
            # Each part determines the client's address itself: see access/peer.py.
            proxy_headers=False,
            timeout_graceful_shutdown=max(1, int(stop_seconds * _GRACE_SHARE)),
            workers=1,
        ),
        stop_seconds,
    )
    # uvicorn waits for event streams to end before it tells the app that it stops.
    app.state.collector.feed.stops_with(lambda: server.should_exit)
    return server


def _bind(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; "
            "stop what uses it, or choose another with --port"
        ) from error
    return listener
