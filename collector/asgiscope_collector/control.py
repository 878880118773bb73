"""The control socket: how a command reaches the collector that holds the data folder.

The socket is a file in the data folder, so the folder's permissions decide who may use it. A request is one
line of JSON, `{"do": name, ...arguments}`, and so is the answer, `{"result": ...}` or `{"error": text}`.
Requests are served one at a time, on the server's own thread.
"""

import contextlib
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

logger = logging.getLogger(__name__)

NAME: Final = "control.sock"
_LINE_MAX: Final = 64 * 1024
_ASK_SECONDS: Final = 3600
_POLL_SECONDS: Final = 0.2


class ControlError(RuntimeError):
    """The collector that holds the folder did not answer, or the operation failed; the message says why."""


class ControlServer:
    """Server of the control socket.

    It calls `do` with an operation's name and arguments, and answers with the result or the error raised.
    """

    def __init__(self, folder: Path, do: Callable[[str, dict[str, Any]], Any]) -> None:
        self._folder = folder
        self._do = do
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="asgiscope-control", daemon=True)

    def start(self) -> None:
        """Start to listen.

        Raises:
            OSError: the socket cannot be created.
        """
        with contextlib.suppress(FileNotFoundError):
            (self._folder / NAME).unlink()
        self._listener = socket.socket(socket.AF_UNIX)
        with _short(self._folder) as path:
            self._listener.bind(path)
        (self._folder / NAME).chmod(0o600)
        self._listener.listen()
        self._listener.settimeout(_POLL_SECONDS)
        self._thread.start()

    def close(self) -> None:
        """Finish the current request and stop."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
            self._listener.close()
            with contextlib.suppress(FileNotFoundError):
                (self._folder / NAME).unlink()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(_ASK_SECONDS)
                try:
                    self._answer(connection)
                except OSError as error:
                    logger.warning("control: the client disconnected: %s", error)

    def _answer(self, connection: socket.socket) -> None:
        with connection.makefile("rwb") as stream:
            try:
                asked = json.loads(stream.readline(_LINE_MAX))
                answer = {"result": self._do(asked.pop("do"), asked)}
            except Exception as error:  # noqa: BLE001 - the client gets the error, and the server goes on
                logger.warning("control: %s: %s", type(error).__name__, error)
                answer = {"error": str(error)}
            stream.write(json.dumps(answer).encode() + b"\n")


def ask(folder: Path, name: str, arguments: dict[str, Any]) -> Any:
    """Send a request to the collector that holds the folder and return its result.

    Raises:
        ControlError: the collector does not answer, or the operation failed.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ASK_SECONDS)
            with _short(folder) as path:
                connection.connect(path)
            with connection.makefile("rwb") as stream:
                stream.write(json.dumps({"do": name, **arguments}).encode() + b"\n")
                stream.flush()
                line = stream.readline()
    except OSError as error:
        raise ControlError(f"it does not answer commands ({error.strerror or error})") from error
    if not line:
        raise ControlError("it stopped before it answered")
    answer = json.loads(line)
    if "error" in answer:
        raise ControlError(answer["error"])
    return answer["result"]


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """Yield a path for the socket that is short enough for the operating system: at most about a hundred bytes."""
    path = str(folder / NAME)
    if len(path.encode()) < 100:  # noqa: PLR2004 - sun_path is 104 bytes on macOS, 108 on Linux
        yield path
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)
