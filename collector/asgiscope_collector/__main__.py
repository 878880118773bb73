"""`asgiscope-collector`: serve."""

import argparse
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from asgiscope_collector import __version__
from asgiscope_collector.app import create_app
from asgiscope_collector.engine.lock import FolderInUseError, FolderLock
from asgiscope_collector.settings import Settings, SettingsError

logger = logging.getLogger("asgiscope_collector")

_BACKLOG = 2048
_GRACE_SECONDS = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    asked = _parser().parse_args(arguments)
    try:
        settings = Settings.from_environment(
            host=asked.host, port=asked.port, data=asked.data, insecure_open=asked.insecure_open or None
        )
    except SettingsError as error:
        return _fail(str(error))
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    return serve(settings)


def serve(settings: Settings) -> int:
    """Serve until a signal comes; 0 if all went well, 1 with one line on stderr if it could not start."""
    settings = replace(settings, data=settings.data.absolute())
    try:
        with FolderLock(settings.data):
            _use_temporary_folder(settings.data / "tmp")
            # The engine keeps a copy of each schema it decodes with in the folder it is started in.
            os.chdir(settings.data)
            listener = _bind(settings)
            with listener:
                return _run(settings.with_port(listener.getsockname()[1]), listener)
    except FolderInUseError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(str(error))


def _run(settings: Settings, listener: socket.socket) -> int:
    fatal: list[str] = []

    def stop(reason: str) -> None:
        fatal.append(reason)
        server.should_exit = True

    server = server_of(create_app(settings, on_fatal=stop))
    # uvicorn handles these while it runs and raises them again when it has stopped: by then all is done.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    logger.info("asgiscope-collector %s listens on http://%s:%d", __version__, host, settings.port)
    server.run(sockets=[listener])
    return _fail(fatal[0]) if fatal else 0


def _use_temporary_folder(folder: Path) -> None:
    """The engine's client hands over each insert in a temporary file: on our disk, not in a small /tmp."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    tempfile.tempdir = str(folder)


def server_of(app: FastAPI) -> uvicorn.Server:
    """The server for the app: one process, for the engine must not be forked and holds its folder alone."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            log_level=logging.WARNING,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            workers=1,
        )
    )


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asgiscope-collector",
        description="Store what asgiscope sends, and serve the page that shows it.",
    )
    parser.add_argument("--version", action="version", version=f"asgiscope-collector {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("serve", help="take OTLP, answer the API, serve the dashboard")
    command.add_argument("--host", help="address to listen on (127.0.0.1)")
    command.add_argument("--port", type=int, help="port to listen on (4318); 0 takes a free one")
    command.add_argument("--data", type=Path, help="folder for everything that is kept (./asgiscope-data)")
    command.add_argument(
        "--insecure-open",
        action="store_true",
        help="allow an address that other machines reach: anyone who does can read and write",
    )
    return parser


def _fail(line: str) -> int:
    print(f"asgiscope-collector: {line}", file=sys.stderr)  # noqa: T201 - the command's own error message
    return 1


if __name__ == "__main__":
    sys.exit(main())
