"""Who may send and who may look: real collectors that listen for real clients.

Longer than 400 lines because all of it asks one server, whose files and provider stand here.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped] # grpcio ships no types
import httpx
import pytest
from asgiscope_collector.access.passwords import UserFile, line_of
from asgiscope_collector.access.peer import client_of
from asgiscope_collector.access.sessions import Sessions
from asgiscope_collector.access.tokens import Tokens, parse_tokens
from asgiscope_collector.settings import Settings, SettingsError

from tests.collector.identity_provider import CLIENT, SECRET, Provider
from tests.collector.spans import PROTOBUF_HEADERS, Sender
from tests.servers import Server, free_port
from tests.sink import Sink
from tests.stores import prepare

TOKEN = "a-token-of-the-shop-0001"  # noqa: S105 - of this test alone
NEXT = "a-token-of-the-shop-0002"
PASSWORD = "correct horse"  # noqa: S105
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the files of secrets lie."""
    made = tmp_path_factory.mktemp("access")
    (made / "tokens").write_text(f"# the shop's\n{TOKEN}\n")
    (made / "users").write_text(line_of("ann", PASSWORD) + "\n")
    (made / "secret").write_text(SECRET + "\n")
    for file in made.iterdir():
        file.chmod(0o600)
    return made


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """Somebody of example.com, verified."""
    with Provider(email="Eve@Example.com", email_verified=True) as running:
        yield running


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    """Yield the other collector, to which this one sends its own traces."""
    with Sink() as running:
        yield running


@pytest.fixture(scope="module")
def grpc_port() -> int:
    """Return where it takes gRPC."""
    return free_port()


@pytest.fixture(scope="module")
def server(folder: Path, provider: Provider, sink: Sink, grpc_port: int) -> Iterator[Server]:
    """Yield a collector that asks everybody, reachable from everywhere."""
    port = free_port()
    env = {
        "HOST": "0.0.0.0",  # noqa: S104 - this is what tokens and a login are for
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "INGEST_TOKENS": str(folder / "tokens"),
        "USERS_FILE": str(folder / "users"),
        "PROXY_HEADER": "X-Forwarded-User",
        "PROXIES": "127.0.0.2/32",
        "OIDC_ISSUER": provider.url,
        "OIDC_CLIENT_ID": CLIENT,
        "OIDC_SECRET_FILE": str(folder / "secret"),
        "OIDC_ALLOWED": "@example.com, zoe@elsewhere.example",
        "LOG_FORMAT": "json",
        "TRACE_TO": sink.url,
    }
    command = [sys.executable, "-m", "asgiscope_collector", "serve", "--port", str(port)]
    command += ["--data", str(prepare(folder / "data")), "--grpc", "--grpc-port", str(grpc_port)]
    with Server(
        command,
        port,
        cwd=folder,
        env={f"ASGISCOPE_COLLECTOR_{name}": value for name, value in env.items()}
        | {"OTEL_BSP_SCHEDULE_DELAY": "100"},
        log=folder / "log",
        ready="/readyz",
        ready_status=200,
    ) as running:
        yield running


def _client(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30)


def _send(client: httpx.Client, token: str = "") -> httpx.Response:
    headers = {**PROTOBUF_HEADERS, **({"Authorization": f"Bearer {token}"} if token else {})}
    sender = Sender("shop")
    sender.request("GET", "/")
    return client.post("/v1/traces", content=sender.body(), headers=headers)


def _sign_in(client: httpx.Client, name: str = "ann", password: str = PASSWORD) -> httpx.Response:
    return client.post("/api/session", json={"name": name, "password": password})


def test_only_a_token_lets_send_and_it_is_exchanged_without_a_restart(server: Server, folder: Path) -> None:
    """By HTTP: 401 with a status body and what to do; the next token goes in, the last one out."""
    with _client(server) as client:
        refused = _send(client)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert b"Authorization: Bearer" in refused.content
        assert _send(client, "some-other-token-000").status_code == 401
        assert _send(client, TOKEN).status_code == 200
        digest = hashlib.sha256(NEXT.encode()).hexdigest()
        (folder / "tokens").write_text(f"{TOKEN}\nsha256:{digest}\n")
        deadline = time.monotonic() + 20
        while _send(client, NEXT).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        (folder / "tokens").write_text("too short\n")
        time.sleep(1.2)
        assert _send(client, NEXT).status_code == 200, "a bad file leaves the old tokens in force"
        (folder / "tokens").write_text(f"{NEXT}\n")
        while _send(client, TOKEN).status_code != 401:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        (folder / "tokens").write_text(f"{TOKEN}\n{NEXT}\n")
        time.sleep(1.2)
        assert _send(client, TOKEN).status_code == 200


def test_grpc_asks_for_the_same_token(server: Server, grpc_port: int) -> None:
    """UNAUTHENTICATED without it."""
    assert server.process is not None
    sender = Sender("shop")
    sender.request("GET", "/")
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        export = channel.unary_unary(_EXPORT)
        with pytest.raises(grpc.RpcError) as refused:
            export(sender.body(), timeout=20)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert export(sender.body(), timeout=20, metadata=[("authorization", f"Bearer {TOKEN}")]) == b""


def test_api_is_refused_without_a_session(server: Server) -> None:
    """The API and the metrics answer 401; the page itself, which holds nothing, is there, and so are the probes."""
    with _client(server) as client:
        for path in (
            "/api/overview",
            "/api/findings",
            "/api/openapi.json",
            "/api/live",
            "/metrics",
            "/api/nothing",
        ):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["error"]) == (401, "not signed in"), path
        for path in ("/healthz", "/readyz", "/"):
            assert client.get(path).status_code == 200, path
        session = client.get("/api/session").json()
        assert session == {"user": "", "password": True, "oidc": True, "required": True}
        forged = {"Cookie": "asgiscope_session=forged"}
        assert client.get("/api/overview", headers=forged).status_code == 401
        for header in (
            {"X-Forwarded-User": "mallory"},
            {"X-Forwarded-User": "mallory", "X-Forwarded-For": "127.0.0.2"},
            {"X-Forwarded-User": "mallory", "Forwarded": "for=127.0.0.2", "X-Real-IP": "127.0.0.2"},
        ):
            assert client.get("/api/overview", headers=header).status_code == 401, "not from a trusted proxy"
        assert client.get("/readyz").json() == {"status": "ready"}


def test_signing_out_ends_the_session_wherever_its_cookie_is(server: Server) -> None:
    """A copy of the cookie is good no more."""
    with _client(server) as client:
        assert _sign_in(client).status_code == 200
        copied = {"Cookie": f"asgiscope_session={client.cookies['asgiscope_session']}"}
        assert httpx.get(f"{server.url}/api/overview", headers=copied).status_code == 200
        gone = client.request("DELETE", "/api/session", headers={"Content-Type": "application/json"})
        assert gone.status_code == 204
        assert httpx.get(f"{server.url}/api/overview", headers=copied).status_code == 401


def test_a_password_opens_a_session_until_it_changes(server: Server, folder: Path) -> None:
    """The cookie cannot be read by scripts; another password makes it worthless."""
    with _client(server) as client:
        assert _sign_in(client, password="wrong battery").status_code == 401  # noqa: S106
        assert client.post("/api/session", content=b"{}").status_code == 415
        elsewhere = {"Origin": "https://evil.example"}
        forged = client.post("/api/session", json={"name": "ann", "password": PASSWORD}, headers=elsewhere)
        assert forged.status_code == 403
        signed = _sign_in(client)
        assert signed.json()["user"] == "ann"
        cookie = signed.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert client.get("/api/overview").status_code == 200
        assert client.get("/api/session").json()["user"] == "ann"
        (folder / "users").write_text(line_of("ann", "another horse") + "\n")
        deadline = time.monotonic() + 20
        while client.get("/api/overview").status_code != 401:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        (folder / "users").write_text(line_of("ann", PASSWORD) + "\n")


def test_trusted_proxy_header_names_the_user(server: Server) -> None:
    """From its own address, 127.0.0.2, the header counts, whomever it forwards."""
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=server.url, transport=transport, timeout=30) as client:
        assert client.get("/api/session", headers={"X-Forwarded-User": "ann"}).json()["user"] == "ann"
        named = {"X-Forwarded-User": "ann", "X-Forwarded-For": "198.51.100.9"}
        assert client.get("/api/overview", headers=named).status_code == 200
        assert client.get("/api/overview").status_code == 401


def test_identity_provider_signs_in_a_user(server: Server, provider: Provider) -> None:
    """There and back; only a verified address that is allowed comes in; the way back is for one use."""
    with httpx.Client(base_url=server.url, follow_redirects=True, timeout=30) as client:
        arrived = client.get("/api/session/oidc")
        assert arrived.status_code == 200, arrived.text
        assert client.get("/api/session").json()["user"] == "eve@example.com"
        assert client.get("/api/overview").status_code == 200
        callback = str(arrived.history[-1].url)
        assert client.get(callback).status_code == 401
        gone = client.request("DELETE", "/api/session", headers={"Content-Type": "application/json"})
        assert gone.status_code == 204
        assert client.get("/api/overview").status_code == 401
    known = dict(provider.claims)
    for claims in (
        {"email_verified": False},
        {"email": "eve@evil-example.com"},
        {"email": "x@example.com.evil"},
    ):
        provider.claims = known | claims
        with httpx.Client(base_url=server.url, follow_redirects=True, timeout=30) as client:
            assert client.get("/api/session/oidc").status_code == 403
            assert client.get("/api/overview").status_code == 401
    provider.claims = known


def test_attempts_are_counted(server: Server) -> None:
    """After a few for one name, 429 with the time to wait, also for the right password."""
    with _client(server) as client:
        answers = []
        for n in range(7):
            client.headers["X-Forwarded-For"] = f"198.51.100.{n}"  # from no trusted proxy: the peer counts
            answers.append(_sign_in(client, name="bob", password=f"guess number {n}").status_code)
        assert answers[0] == 401
        assert answers[-1] == 429
        assert _sign_in(client, name="bob").headers["Retry-After"] == "60"


def test_its_own_figures_and_traces(server: Server, sink: Sink) -> None:
    """Prometheus shows a token; the API's requests are traced into another collector, what is received never is."""
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=server.url, transport=transport, timeout=30) as client:
        assert client.get("/api/overview", headers={"X-Forwarded-User": "ann"}).status_code == 200
        assert _send(client, TOKEN).status_code == 200
        metrics = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert metrics.headers["content-type"].startswith("text/plain")
    for name in (
        'asgiscope_collector_items_total{signal="span"}',
        "asgiscope_collector_refused_requests_total",
        "asgiscope_collector_recognised_bodies_total",
        "asgiscope_collector_repaired_values_total",
        "asgiscope_collector_spool_bytes",
        "asgiscope_collector_store_open 1.0",
        "process_resident_memory_bytes",
    ):
        assert name in metrics.text, name
    span = sink.wait_for(lambda spans: next((s for s in spans if "/api/overview" in s.name), None))
    assert span.resource["service.name"] == "asgiscope-collector"
    assert not [s for s in sink.spans if "/v1/" in s.name or "/metrics" in s.name]


def test_the_log_is_json_and_holds_no_secret(server: Server) -> None:
    """One object a line, and nothing that was shown to the collector to prove who one is."""
    lines = server.log.read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert all(entry["level"] and entry["timestamp"] for entry in entries)
    assert any("signed in" in entry["message"] for entry in entries)
    for secret in (TOKEN, NEXT, PASSWORD, SECRET, "wrong battery", "guess number"):
        assert not [line for line in lines if secret in line]


def test_a_public_address_takes_tokens_and_a_login() -> None:
    """Either alone is refused with what to do; both, or the word that it is open, are taken."""
    alone: list[dict[str, Any]] = [{}, {"ingest_tokens": "t"}, {"users_file": "p"}]
    for given in alone:
        with pytest.raises(SettingsError, match="INGEST_TOKENS"):
            Settings(host="192.0.2.1", **given)
    Settings(host="192.0.2.1", ingest_tokens="t", users_file="p")
    Settings(host="192.0.2.1", insecure_open=True)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"proxy_header": "X-User"}, "go together"),
        ({"proxy_header": "X-User", "proxies": "everywhere"}, "10.0.0.0/8"),
        ({"oidc_issuer": "https://id.example"}, "go together"),
        ({"trace_to": "http://127.0.0.1:4318"}, "itself"),
        ({"trace_to": "elsewhere"}, "write an address"),
        ({"log_format": "xml"}, "text or json"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, Any], says: str) -> None:
    """With what to write instead."""
    with pytest.raises(SettingsError, match=says):
        Settings(**given)


def test_files_that_will_not_do(tmp_path: Path) -> None:
    """Each is refused at the start with one line."""
    file = tmp_path / "file"
    for text, says in (("", "no token"), ("short", "fewer than 16"), ("sha256:00", "64 hexadecimal")):
        file.write_text(text)
        with pytest.raises(SettingsError, match=says):
            Tokens(file)
    for text, says in (("", "no user in it"), ("ann:password", "line 1")):
        file.write_text(text)
        with pytest.raises(SettingsError, match=says):
            UserFile(file)
    with pytest.raises(SettingsError, match="No such file"):
        Tokens(tmp_path / "missing")
    assert len(parse_tokens(f"{TOKEN}\n# {NEXT}\n")) == 1


def test_a_session_is_ours_and_ends(tmp_path: Path) -> None:
    """Another key does not read it, its key is nobody else's to read, and a cut cookie is none."""
    (tmp_path / "other").mkdir()
    sessions = Sessions(tmp_path, hours=1)
    made = sessions.make("ann", "version")
    assert Sessions(tmp_path, hours=1).read(made) == ("ann", "version")
    assert Sessions(tmp_path / "other", hours=1).read(made) is None
    assert sessions.read(made[:-2]) is None
    assert (tmp_path / "session.key").stat().st_mode & 0o777 == 0o600


def test_session_that_was_ended_is_not_read_again(tmp_path: Path) -> None:
    """Nor by the next process; another session of the same person goes on."""
    sessions = Sessions(tmp_path, hours=1)
    ended, other = sessions.make("ann", "version"), sessions.make("ann", "version")
    sessions.end(ended)
    sessions.end(ended)
    sessions.end("forged")
    for each in (sessions, Sessions(tmp_path, hours=1)):
        assert each.read(ended) is None
        assert each.read(other) == ("ann", "version")
    assert len((tmp_path / "sessions.ended").read_text().splitlines()) == 1


PROXIES = [ip_network("10.0.0.0/8"), ip_network("::1/128")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.7", "", "192.0.2.7"),
        ("192.0.2.7", "10.0.0.1", "192.0.2.7"),  # says so itself, and is no proxy
        ("10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "10.0.0.1, 198.51.100.9, 10.0.0.2", "198.51.100.9"),  # the left part is the client's own
        ("10.0.0.1", "forged, 198.51.100.9:4711", "198.51.100.9"),
        ("10.0.0.1", "198.51.100.9, forged", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("::ffff:10.0.0.1", "[2001:db8:1:2:3:4:5:6]:443", "2001:db8:1:2::/64"),
        ("::1", "::ffff:198.51.100.9", "198.51.100.9"),
        ("", "198.51.100.9", ""),
    ],
)
def test_client_is_the_right_most_address_that_is_no_trusted_proxy(
    peer: str, forwarded: str, client: str
) -> None:
    """Judged by the socket's peer: what another address forwards is what anybody may write."""
    headers = [(b"x-forwarded-for", each.encode()) for each in forwarded.split(";")] if forwarded else []
    scope = {"type": "http", "client": (peer, 1234) if peer else None, "headers": headers}
    assert client_of(scope, PROXIES) == client


def test_the_password_command(tmp_path: Path) -> None:
    """Prints a line that the file takes; refuses what will not do."""
    command = [sys.executable, "-m", "asgiscope_collector", "password"]
    done = subprocess.run(
        [*command, "zoe"],
        input="a long password\n",
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    (tmp_path / "users").write_text(done.stdout)
    assert UserFile(tmp_path / "users").verify("zoe", "a long password")
    short = subprocess.run([*command, "zoe"], input="short\n", capture_output=True, text=True, check=False)
    assert (short.returncode, short.stdout) == (1, "")
    assert "at least 8" in short.stderr
