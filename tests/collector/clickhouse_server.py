"""ClickHouse's HTTP interface, answered by the embedded engine: a server for tests of the client's path.

    python -m tests.collector.clickhouse_server PORT FOLDER

What clickhouse-connect asks of a server: queries in the body or the `query` parameter, bound parameters in the
URL or a form, settings for one request, sessions, results in any format of the engine (Native, for the most
part), inserts with their rows in the body, compression both ways, the summary's headers, and errors with their
code. User `collector`, password `it's a secret`.

The engine knows a cluster `shop` of one shard, this one. It has no Keeper and no queue of DDL, so two things of
a cluster's statements are taken out before they run: ON CLUSTER, and the Replicated of an engine.
"""

import base64
import email.parser
import email.policy
import gzip
import json
import re
import sys
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import chdb
import lz4.frame  # type: ignore[import-untyped]  # it has no types
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

USER: Final = "collector"
PASSWORD: Final = "it's a secret"  # noqa: S105 - of this server
_CONFIGURATION: Final = """<clickhouse>
    <tcp_port>9000</tcp_port>
    <remote_servers><shop><shard>
        <internal_replication>true</internal_replication>
        <replica><host>127.0.0.1</host><port>9000</port></replica>
    </shard></shop></remote_servers>
    <macros><shard>01</shard><replica>one</replica></macros>
</clickhouse>
"""
_OF_THE_TRANSPORT: Final = {
    "buffer_size",
    "client_protocol_version",
    "compress",
    "database",
    "decompress",
    "default_format",
    "enable_http_compression",
    "http_headers_progress_interval_ms",
    "password",
    "query",
    "query_id",
    "quota_key",
    "role",
    "send_progress_in_http_headers",
    "session_check",
    "session_id",
    "session_timeout",
    "user",
    "wait_end_of_query",
}
_INSERT: Final = re.compile(
    rb"\s*(INSERT\s+INTO\s+.+?)\s+FORMAT\s+(\w+)[ \t]*(?:\r?\n|$)", re.IGNORECASE | re.DOTALL
)
_FORMAT: Final = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_RETURNS_ROWS: Final = re.compile(
    r"\s*(SELECT|WITH|SHOW|DESCRIBE|DESC|EXISTS|EXPLAIN|CHECK|BACKUP|RESTORE)\b", re.IGNORECASE
)
_CODE: Final = re.compile(r"Code: (\d+)\.")
_STATUS: Final = {46: 404, 47: 404, 60: 404, 62: 400, 81: 404, 115: 404, 516: 403}
_AUTHENTICATION_FAILED: Final = (
    "Code: 516. DB::Exception: collector: Authentication failed: password is incorrect, or there is no user with "
    "such name. (AUTHENTICATION_FAILED)"
)
_DECOMPRESS: Final = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "zstd": zstd.decompress,
    "lz4": lz4.frame.decompress,
}
_COMPRESS: Final = {
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}


class Handles:
    """Handles of the one engine: a free one for a request, the same one for a session's."""

    def __init__(self, folder: Path) -> None:
        configuration = folder.with_suffix(".xml")
        configuration.write_text(_CONFIGURATION)
        self._where = f"{folder}?config-file={configuration}"
        self._lock = threading.Lock()
        self._free: list[Any] = [self._new()]  # lock: _lock
        self._sessions: dict[str, Any] = {}  # lock: _lock; None while one of its requests runs

    def _new(self) -> Any:
        return chdb.connect(self._where)

    @contextmanager
    def taken(self, session: str) -> Iterator[Any]:
        """Yield a handle that nobody else uses meanwhile."""
        with self._lock:
            if session and self._sessions.get(session, ...) is None:
                raise RuntimeError(
                    f"Code: 373. DB::Exception: Session {session} is locked. (SESSION_IS_LOCKED)"
                )
            handle = self._sessions.get(session) if session else (self._free.pop() if self._free else None)
            if session:
                self._sessions[session] = None
        handle = handle or self._new()
        try:
            yield handle
        finally:
            with self._lock:
                if session:
                    self._sessions[session] = handle
                else:
                    self._free.append(handle)


def quoted(text: str) -> str:
    """Return a string of SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def of_one_node(sql: str) -> str:
    """Return a cluster's statement as this engine can run it."""
    sql = re.sub(r" ON CLUSTER '\w+'", "", sql)
    return re.sub(r"\bReplicated(\w*MergeTree)\('[^']*', '\{replica\}'(?:, )?", r"\1(", sql)


class Server:
    """Answers requests."""

    def __init__(self, folder: Path) -> None:
        self._handles = Handles(folder)
        self._folder = folder

    async def ping(self, _: Request) -> Response:
        """Return whether the server lives."""
        return PlainTextResponse("Ok.\n")

    async def query(self, request: Request) -> Response:
        """One statement."""
        asked = dict(request.query_params)
        if not self._is_known(request, asked):
            return self._error(_AUTHENTICATION_FAILED, asked)
        body = await request.body()
        try:
            body = _DECOMPRESS[request.headers.get("Content-Encoding", "")](body)
            form = request.headers.get("Content-Type", "")
            if form.startswith("multipart/form-data"):
                asked |= fields_of(form, body)
                body = b""
            statement = asked.get("query", "").encode()
            statement = statement + b"\n" + body if statement and body else statement or body
            data, form_of_result, rows = await run_in_threadpool(self._run, statement, asked)
        except RuntimeError as error:
            return self._error(str(error), asked)
        headers = self._headers(asked, rows)
        if form_of_result:
            headers["X-ClickHouse-Format"] = form_of_result
        wanted = [each.strip() for each in request.headers.get("Accept-Encoding", "").split(",")]
        if asked.get("enable_http_compression") == "1":
            for encoding in wanted:
                if encoding in _COMPRESS:
                    headers["Content-Encoding"] = encoding
                    data = _COMPRESS[encoding](data)
                    break
        return Response(data, headers=headers, media_type="application/octet-stream")

    def _run(self, statement: bytes, asked: dict[str, str]) -> tuple[bytes, str, dict[str, int]]:
        parameters = {name[6:]: value for name, value in asked.items() if name.startswith("param_")}
        settings = {
            name: value
            for name, value in asked.items()
            if name not in _OF_THE_TRANSPORT and not name.startswith("param_")
        }
        session = asked.get("session_id", "")
        with self._handles.taken(session) as handle:
            if asked.get("database") or not session:
                handle.query(f"USE `{asked.get('database') or 'default'}`")
            for name, value in settings.items():
                handle.query(f"SET {name} = {quoted(value)}")
            try:
                if insert := _INSERT.match(statement):
                    return self._insert(handle, insert, statement[insert.end() :])
                sql = of_one_node(statement.decode())
                explicit = _FORMAT.search(sql)
                format_ = explicit[1] if explicit else asked.get("default_format", "TabSeparated")
                result = handle.query(sql, format_, params=parameters)
                content_type = format_ if explicit or _RETURNS_ROWS.match(sql) else ""
                return result.bytes() or b"", content_type, {"read_rows": result.rows_read()}
            finally:
                for name in settings:
                    handle.query(f"SET {name} = DEFAULT")

    def _insert(self, handle: Any, insert: re.Match[bytes], data: bytes) -> tuple[bytes, str, dict[str, int]]:
        with tempfile.NamedTemporaryFile(dir=self._folder.parent) as file:
            file.write(data)
            file.flush()
            result = handle.query(
                f"{insert[1].decode()} FROM INFILE {quoted(file.name)} FORMAT {insert[2].decode()}"
            )
        return b"", "", {"written_rows": result.rows_read()}

    def _is_known(self, request: Request, asked: dict[str, str]) -> bool:
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            user, _, password = base64.b64decode(credentials).decode().partition(":")
        else:
            user = request.headers.get("X-ClickHouse-User", asked.get("user", ""))
            password = request.headers.get("X-ClickHouse-Key", asked.get("password", ""))
        return (user, password) == (USER, PASSWORD)

    def _headers(self, asked: dict[str, str], rows: dict[str, int]) -> dict[str, str]:
        summary = {"read_rows": 0, "read_bytes": 0, "written_rows": 0, "written_bytes": 0} | rows
        return {
            "X-ClickHouse-Summary": json.dumps({name: str(value) for name, value in summary.items()}),
            "X-ClickHouse-Query-Id": asked.get("query_id", ""),
            "X-ClickHouse-Server-Display-Name": "tests",
            "X-ClickHouse-Timezone": "UTC",
        }

    def _error(self, text: str, asked: dict[str, str]) -> Response:
        text = text[max(text.find("Code: "), 0) :]
        found = _CODE.match(text)
        code = int(found[1]) if found else 1002
        headers = self._headers(asked, {}) | {"X-ClickHouse-Exception-Code": str(code)}
        return PlainTextResponse(text + "\n", _STATUS.get(code, 500), headers)


def fields_of(content_type: str, body: bytes) -> dict[str, str]:
    """Return the fields of a form."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    fields = {}
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        fields[str(part.get_param("name", header="content-disposition"))] = content.decode()
    return fields


def main() -> None:
    """Serve until a signal comes."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    server = Server(folder)
    app = Starlette(
        routes=[
            Route("/ping", server.ping),
            Route("/", server.query, methods=["GET", "POST"]),
        ]
    )
    uvicorn.run(app, port=port, log_level="warning")


if __name__ == "__main__":
    main()
