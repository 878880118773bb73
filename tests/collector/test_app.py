"""Around the API: health, headers, host names, the page, settings, the command line."""

import asyncio
import gzip
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import httpx
import pytest
from asgiscope_collector import __version__
from asgiscope_collector.__main__ import main
from asgiscope_collector.settings import Settings, SettingsError
from asgiscope_collector.web.app import create_app
from asgiscope_collector.web.security import SecurityHeadersMiddleware

from tests.collector.conftest import Running
from tests.servers import free_port


def test_health(running: Running) -> None:
    """The process lives, and is ready."""
    assert running.get("/healthz") == {"status": "ok"}
    assert running.get("/readyz") == {"status": "ready"}


@pytest.mark.parametrize(
    "path", ["/", "/api/findings", "/api/findings?limit=0", "/nothing", "/healthz", "/v1/traces"]
)
def test_every_answer_has_the_security_headers(running: Running, path: str) -> None:
    """Errors too."""
    headers = running.http.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers
    assert "access-control-allow-origin" not in headers
    assert (headers.get("cache-control") in {"no-store", "private, no-cache"}) == path.startswith("/api/")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4318", "127.0.0.1.evil.example", "localhost.evil"]
)
def test_a_loopback_collector_answers_to_loopback_names_only(running: Running, host: str) -> None:
    """A page's own name pointed at 127.0.0.1 reads nothing (DNS rebinding)."""
    answer = running.http.get("/api/findings", headers={"Host": host})
    assert answer.status_code == httpx.codes.MISDIRECTED_REQUEST
    assert "findings" not in answer.json()


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:1", "127.0.0.1:4318", "[::1]:4318", "app.localhost"]
)
def test_loopback_names(running: Running, host: str) -> None:
    """Every way to say this machine."""
    assert running.http.get("/healthz", headers={"Host": host}).status_code == httpx.codes.OK


def test_missing_page_is_answered_with_how_to_build_it(running: Running) -> None:
    """The API serves all the same."""
    answer = running.http.get("/")
    assert "make ui" in answer.text
    assert answer.headers["content-type"].startswith("text/plain")


def test_the_api_describes_itself(running: Running) -> None:
    """OpenAPI, from which the page's types come."""
    paths = running.get("/api/openapi.json")["paths"]
    assert {
        "/api/findings",
        "/api/findings/{finding_id}",
        "/api/overview",
        "/api/services",
        "/api/traces",
    } <= set(paths)


def test_too_many_questions_at_once_are_turned_away(running: Running) -> None:
    """The API stays bounded: 503 with Retry-After, and answers again after."""
    gate = threading.Event()
    engine = running.collector.engine

    async def flood() -> list[int]:
        async with httpx.AsyncClient(base_url=running.http.base_url, timeout=60, trust_env=False) as http:
            answers = [asyncio.ensure_future(http.get(f"/api/services?since={n}h")) for n in range(1, 13)]
            await asyncio.sleep(0.5)
            gate.set()
            return [answer.status_code for answer in await asyncio.gather(*answers)]

    # All of the pool's threads are busy until the gate opens.
    for _ in range(running.collector.settings.query_threads):
        engine._threads.submit(gate.wait, 60)
    statuses = asyncio.run(flood())
    limit = running.collector.settings.query_threads + running.collector.settings.query_backlog
    assert sorted(statuses) == [200] * limit + [503] * (12 - limit)
    assert running.http.get("/api/services").status_code == httpx.codes.OK


def test_a_failure_is_a_problem_with_the_headers_too(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever raises behind the guard: no traceback to the asker, but to the log."""

    async def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(SecurityHeadersMiddleware(broken, check_host=True))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return await http.get("/api/anything")

    answer = asyncio.run(ask())
    assert answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR
    assert answer.json()["hint"]
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "secret detail" in caplog.text


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """Return a folder as `make ui` leaves it."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>page</title>")
    (tmp_path / "assets/app.js").write_text("export {}")
    return tmp_path


@pytest.fixture
def pages(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.AsyncClient]:
    """Yield an app that serves it; its lifespan does not run, for there is one engine a process."""
    app = create_app(Settings(data=tmp_path_factory.mktemp("pages")), static=built)
    yield httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
    app.state.collector.spool.close()


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/", 200, "text/html"),
        ("/findings/0123456789abcdef", 200, "text/html"),
        ("/assets/app.js", 200, "text/javascript"),
        ("/assets/gone.js", 404, "application/json"),
        ("/api/nothing", 404, "application/json"),
        ("/../pyproject.toml", 200, "text/html"),
        ("/%2e%2e/%2e%2e/etc/passwd", 200, "text/html"),
    ],
)
def test_the_page_and_its_views(pages: httpx.AsyncClient, path: str, status: int, kind: str) -> None:
    """Every view is an address; what is missing of the API or the assets is 404; nothing outside is served."""
    answer = asyncio.run(pages.get(path))
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(kind)
    assert "root:" not in answer.text
    assert "content-security-policy" in answer.headers
    lasts = "immutable" in answer.headers.get("cache-control", "")
    assert lasts == (path == "/assets/app.js"), "only what is named by its contents never changes"


@pytest.mark.parametrize(
    ("asks", "packed"),
    [("gzip, br", True), ("br;q=1, gzip;q=0.5", True), ("gzip;q=0", False), ("br", False), ("", False)],
)
def test_assets_come_packed_to_who_takes_them(
    pages: httpx.AsyncClient, built: Path, asks: str, packed: bool
) -> None:
    """As the build laid them there; where it did not, or the client wants it plain, as they are."""
    (built / "assets/app.js.gz").write_bytes(gzip.compress(b"export {}"))
    (built / "assets/old.js").write_text("export {}")
    for name, encoded in (("app", packed), ("old", False)):
        answer = asyncio.run(pages.get(f"/assets/{name}.js", headers={"accept-encoding": asks}))
        assert answer.text == "export {}"
        assert ("content-encoding" in answer.headers) == encoded
        assert answer.headers["vary"] == "accept-encoding"
        assert answer.headers["content-type"].startswith("text/javascript")
        assert "immutable" in answer.headers["cache-control"]


def test_before_the_engine_is_open_it_is_not_ready(pages: httpx.AsyncClient) -> None:
    """It lives; it says why it is not ready; the API answers 503."""

    async def ask() -> list[httpx.Response]:
        return [await pages.get(path) for path in ("/healthz", "/readyz", "/api/findings")]

    health, ready, findings = asyncio.run(ask())
    assert health.status_code == httpx.codes.OK
    assert (ready.status_code, ready.json()["reason"]) == (503, "the store is not open yet")
    assert (findings.status_code, findings.json()["error"]) == (503, "the store is not open")
    assert findings.headers["retry-after"]


def test_settings_come_from_the_environment_and_flags_over_it() -> None:
    """Types are those of the defaults."""
    environment = {
        "ASGISCOPE_COLLECTOR_PORT": "1",
        "ASGISCOPE_COLLECTOR_DATA": "/somewhere",
        "ASGISCOPE_COLLECTOR_INSECURE_OPEN": "yes",
        "ASGISCOPE_COLLECTOR_HOST": "0.0.0.0",  # noqa: S104 - the point of this test
    }
    settings = Settings.from_environment(environment, port=2, data=None)
    assert (settings.port, settings.data, settings.insecure_open) == (2, Path("/somewhere"), True)
    assert not settings.loopback


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"PORT": "x"}, "PORT is 'x': write a whole number"),
        ({"PORT": "70000"}, "0 to 65535"),
        ({"INSECURE_OPEN": "maybe"}, "write 1 or 0"),
        ({"RETENTION_DAYS": "0"}, "1 to 3650"),
        ({"QUERY_BACKLOG": "0"}, "at least 1"),
        ({"LOG_LEVEL": "loud"}, "write DEBUG, INFO"),
        ({"HOST": "0.0.0.0"}, "--insecure-open"),  # noqa: S104 - the point of this test
        ({"HOST": "::"}, "--insecure-open"),
        ({"HOST": "collector.example"}, "--insecure-open"),
    ],
)
def test_bad_settings_say_what_to_write(environment: dict[str, str], says: str) -> None:
    """One line that names the setting."""
    with pytest.raises(SettingsError, match=says):
        Settings.from_environment({f"ASGISCOPE_COLLECTOR_{name}": text for name, text in environment.items()})


def test_every_setting_is_documented() -> None:
    """By name, once, in the README."""
    readme = (Path(__file__).parents[2] / "collector/README.md").read_text()
    cells = re.findall(r"^\| (`[A-Z_`, ]+) \|", readme, re.MULTILINE)
    documented = [name for cell in cells for name in re.findall(r"`([A-Z_]+)`", cell)]
    assert documented == [setting.name.upper() for setting in fields(Settings)]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_addresses_need_no_flag(host: str) -> None:
    """They reach this machine alone."""
    assert Settings(host=host).loopback


def test_an_open_address_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is opened."""
    assert main(["serve", "--host", "0.0.0.0"]) == 1  # noqa: S104 - the point of this test
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--insecure-open" in error


def test_a_port_in_use_is_named(running: Running, tmp_path: Path) -> None:
    """One line with what to do."""
    port = running.http.base_url.port
    done = subprocess.run(
        [sys.executable, "-m", "asgiscope_collector", "serve", "--port", str(port), "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"asgiscope-collector: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "stop what uses it, or choose another with --port\n"
    )


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file stands in the way."""
    (tmp_path / "file").write_text("")
    assert main(["serve", "--port", str(free_port()), "--data", str(tmp_path / "file/data")]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """As the distribution has it."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"asgiscope-collector {__version__}\n"


@pytest.mark.asyncio
async def test_only_pages_of_named_origins_may_send(tmp_path: Path) -> None:
    """A browser asks first; it may send spans and nothing else, and pages of other sites may not."""
    settings = Settings(data=tmp_path, cors_origins="https://shop.example.com, http://localhost:3000")
    app = await asyncio.to_thread(create_app, settings, static=Path("/nowhere"))  # it makes the data folder
    asks = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,authorization",
    }
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1:4318"
    ) as client:
        for origin, path, allowed in (
            ("https://shop.example.com", "/v1/traces", True),
            ("http://localhost:3000", "/v1/metrics", True),
            ("https://evil.example.com", "/v1/traces", False),
            ("https://shop.example.com", "/api/findings", False),
        ):
            headers = {"Origin": origin}
            asked = await client.options(path, headers=headers | asks)
            assert asked.is_success is allowed, (origin, path)
            assert (asked.headers.get("access-control-allow-origin") == origin) is allowed
            if path.startswith("/v1/"):
                sent = await client.post(path, content=b"", headers={"Content-Type": "text/plain", **headers})
                assert (sent.headers.get("access-control-allow-origin") == origin) is allowed
    app.state.collector.inbox.close()


@pytest.mark.parametrize(
    "origins", ["*", "shop.example.com", "https://shop.example.com/", "https://*.example.com"]
)
def test_an_origin_that_is_none_is_refused(origins: str) -> None:
    """With what to write instead."""
    with pytest.raises(SettingsError, match="write origins as https://shop"):
        Settings(cors_origins=origins)
