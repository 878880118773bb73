"""Where the store is: what an address may say, and that none tells its password."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from asgiscope_collector.settings import Settings, SettingsError
from asgiscope_collector.store.bootstrap import connect
from asgiscope_collector.store_url import AddressError, StoreAddress
from clickhouse_connect.driver.exceptions import Error as EngineError

from tests.collector.test_server_store import clickhouse, settings
from tests.servers import Server

__all__ = ["clickhouse", "settings"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("chdb://", StoreAddress()),
        ("chdb:///srv/spans", StoreAddress(folder=Path("/srv/spans"))),
        ("clickhouse://db", StoreAddress(host="db", port=8123)),
        (
            "clickhouse://ann:p%40ss%2Fword@db:81/shop?cluster=main&adopt=1",
            StoreAddress(
                host="db",
                port=81,
                username="ann",
                password="p@ss/word",  # noqa: S106 - of this test
                database="shop",
                cluster="main",
                adopt=True,
            ),
        ),
        (
            "clickhouse://db/x?secure=1&verify=0",
            StoreAddress(host="db", port=8443, database="x", secure=True, verify=False),
        ),
        (
            "https://db/x?ca_cert=/ca.pem",
            StoreAddress(host="db", port=8443, database="x", secure=True, ca_cert="/ca.pem"),
        ),
        ("clickhouses://[::1]:9/x", StoreAddress(host="::1", port=9, database="x", secure=True)),
    ],
)
def test_address_is_parsed(text: str, meant: StoreAddress) -> None:
    """The engine in this process, a server, a cluster, in the clear or over TLS."""
    assert StoreAddress.parse(text) == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no scheme"),
        ("postgres://db/x", "postgres:// is no store"),
        ("chdb://folder", "with three slashes"),
        ("clickhouse:///x", "there is no host"),
        ("clickhouse://ann:hidden@db:port/x", "not a number"),
        ("clickhouse://ann:hidden@db/x;DROP", "is not a name"),
        ("clickhouse://ann:hidden@db/x?cluster=a'b", "is not a name"),
        ("clickhouse://ann:hidden@db/x?compress=1", "'compress' is no option"),
        ("clickhouse://ann:hidden@db/x?secure=maybe", "write 1 or 0"),
        ("clickhouse://ann@db/x?password_file=/no/such/file", "cannot be read"),
    ],
)
def test_what_is_no_address_is_explained(text: str, said: str) -> None:
    """One line, without the password, as a setting's error too."""
    with pytest.raises(AddressError, match=said) as raised:
        StoreAddress.parse(text)
    assert "hidden" not in str(raised.value)
    with pytest.raises(SettingsError, match="ASGISCOPE_COLLECTOR_STORE") as raised_too:
        Settings(store=text)
    assert "hidden" not in str(raised_too.value)


def test_no_text_of_an_address_has_its_password(tmp_path: Path) -> None:
    """Neither the log's nor a traceback's; it may be in a file."""
    (tmp_path / "password").write_text("hidden\n")
    address = StoreAddress.parse(f"clickhouse://ann@db/x?password_file={tmp_path / 'password'}")
    assert address.password == "hidden"  # noqa: S105 - of this test
    settings = Settings(store="clickhouse://ann:hidden@db/x")
    assert "hidden" not in f"{address} {address!r} {settings!r} {settings.store_address}"
    assert str(address) == "clickhouse://ann@db:8123/x"


class TlsDoor:
    """A port that takes TLS and passes what comes on to another, in the clear."""

    def __init__(self, port: int, authority: trustme.CA) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self._target = port
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            with closing(plain), socket.create_connection(("127.0.0.1", self._target)) as there:
                try:
                    with self._context.wrap_socket(plain, server_side=True) as here:
                        back = threading.Thread(target=self._pass, args=(there, here))
                        back.start()
                        self._pass(here, there)
                        back.join()
                except OSError:
                    continue

    @staticmethod
    def _pass(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def close(self) -> None:
        """End it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


@pytest.fixture
def door(clickhouse: Server) -> Iterator[tuple[TlsDoor, trustme.CA]]:
    """TLS before the server."""
    authority = trustme.CA()
    it = TlsDoor(clickhouse.port, authority)
    yield it, authority
    it.close()


def test_a_server_is_reached_over_tls(
    settings: Settings,
    door: tuple[TlsDoor, trustme.CA],
    tmp_path: Path,
) -> None:
    """One whose certificate is trusted, and no other."""
    port, authority = door[0].port, door[1]
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    address = f"{settings.store.rpartition(':')[0]}:{port}/default?secure=1"
    with pytest.raises(EngineError):
        connect(replace(settings, store=address))
    client = connect(replace(settings, store=f"{address}&ca_cert={tmp_path / 'ca.pem'}"))
    assert client.query("SELECT 1").result_rows == [(1,)]
    client.close()
    client.close_connections()
