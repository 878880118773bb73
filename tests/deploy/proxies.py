"""nginx and Caddy in front of a collector, real ones, with the files of deploy/ but for ports and certificates."""

import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import trustme

from tests.collector.spans import PROTOBUF_HEADERS, Sender
from tests.deploy.outcome import CheckFailedError, program, require, run
from tests.servers import Server, free_port
from tests.tools import ROOT

DEPLOY: Final = ROOT / "deploy"
NAME: Final = "localhost"
USER: Final = "ann"
WORDS: Final = "correct horse battery staple"
TOKEN: Final = "0123456789abcdef0123456789abcdef0123456789abcdef"  # noqa: S105 - of this test alone
CLIENT: Final = "127.0.0.2"
"""Where the requests come from: not the proxies' address, which the collector trusts."""
ATTEMPTS: Final = 5
"""Sign-ins in a minute that the collector permits for one name from one address."""
EVENT_SECONDS: Final = 60


@contextmanager
def collector(folder: Path, port_of_proxy: int) -> Iterator[Server]:
    """Run a collector behind a proxy: on the loopback address, with tokens, a login and trusted proxies."""
    port = free_port()
    command = [sys.executable, "-m", "asgiscope_collector"]
    line = subprocess.run(
        [*command, "password", USER], input=f"{WORDS}\n", capture_output=True, text=True, check=True
    ).stdout
    for name, text in (("users", line), ("tokens", f"{TOKEN}\n")):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text)
    environment = {
        "ASGISCOPE_COLLECTOR_PUBLIC_URL": f"https://{NAME}:{port_of_proxy}",
        "ASGISCOPE_COLLECTOR_PROXIES": "127.0.0.1/32",
        "ASGISCOPE_COLLECTOR_INGEST_TOKENS": str(folder / "tokens"),
        "ASGISCOPE_COLLECTOR_USERS_FILE": str(folder / "users"),
    }
    with Server(
        [*command, "serve", "--port", str(port), "--data", str(folder / "data")],
        port,
        cwd=folder,
        env=environment,
        log=folder / "collector.log",
        ready="/readyz",
        ready_status=200,
    ) as server:
        yield server


@contextmanager
def process(command: list[str], folder: Path, port: int, env: dict[str, str] | None = None) -> Iterator[None]:
    """Run a proxy until the block ends, which begins when its port is open."""
    log = folder / "proxy.log"
    with log.open("wb") as output:
        running = subprocess.Popen(command, cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + EVENT_SECONDS
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/", timeout=5)
                break
            except httpx.ConnectError:
                if running.poll() is not None or time.monotonic() > deadline:
                    raise CheckFailedError(f"the proxy did not start:\n{log.read_text()[-2000:]}") from None
                time.sleep(0.05)
            except httpx.HTTPError:
                break  # it answers, with TLS
        yield
    finally:
        running.terminate()
        try:
            running.wait(60)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
            raise CheckFailedError("the proxy does not stop: it waits for an open stream") from None


def nginx_in_front() -> str:
    """Check deploy/nginx/asgiscope.conf with `nginx -t`, and use it."""
    nginx = program("nginx", "nginx-light")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        port = free_port()
        authority = trustme.CA()
        certificate = authority.issue_cert(NAME)
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        certificate.cert_chain_pems[0].write_to_path(folder / "chain.pem")
        with collector(folder, port) as server:
            text = (DEPLOY / "nginx/asgiscope.conf").read_text()
            plain = free_port()
            for old, new in (
                ("    listen 80;\n    listen [::]:80;\n", f"    listen 127.0.0.1:{plain};\n"),
                (
                    "    listen 443 ssl http2;\n    listen [::]:443 ssl http2;\n",
                    f"    listen 127.0.0.1:{port} ssl http2;\n",
                ),
                ("127.0.0.1:4318", f"127.0.0.1:{server.port}"),
                ("/etc/letsencrypt/live/asgiscope.example.com/fullchain.pem", f"{folder}/chain.pem"),
                ("/etc/letsencrypt/live/asgiscope.example.com/privkey.pem", f"{folder}/key.pem"),
                ("server_name asgiscope.example.com", f"server_name {NAME}"),
            ):
                require(old in text, f"deploy/nginx/asgiscope.conf has no {old!r}")
                text = text.replace(old, new)
            (folder / "asgiscope.conf").write_text(text)
            paths = "".join(
                f"{each}_temp_path {folder}/{each};"
                for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            )
            (folder / "nginx.conf").write_text(
                f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
                f"http {{ access_log off; {paths} include {folder}/asgiscope.conf; }}\n"
            )
            command = [
                nginx,
                "-p",
                str(folder),
                "-c",
                str(folder / "nginx.conf"),
                "-e",
                str(folder / "error.log"),
            ]
            run([*command, "-t"])
            with process(command, folder, port):
                require(
                    httpx.get(f"http://127.0.0.1:{plain}/x", headers={"Host": NAME}).headers["location"]
                    == f"https://{NAME}/x",
                    "plain HTTP is not redirected",
                )
                context = ssl.create_default_context()
                authority.configure_trust(context)
                done = use(f"https://{NAME}:{port}", context)
        version = run([nginx, "-v"]).strip().rpartition("/")[2]
    return f"nginx {version}: -t; {done}"


def caddy_in_front() -> str:
    """Check deploy/caddy/Caddyfile with `caddy validate`, and use it."""
    caddy = program("caddy", "caddy")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        port = free_port()
        with collector(folder, port) as server:
            text = (DEPLOY / "caddy/Caddyfile").read_text()
            options = "\tgrace_period 10s\n"
            require(options in text, f"deploy/caddy/Caddyfile has no {options!r}")
            own = "\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n"
            (folder / "Caddyfile").write_text(text.replace(options, options + own))
            environment = os.environ | {
                "ASGISCOPE_DOMAIN": f"{NAME}:{port}",
                "ASGISCOPE_UPSTREAM": f"127.0.0.1:{server.port}",
                "XDG_DATA_HOME": str(folder / "share"),
                "XDG_CONFIG_HOME": str(folder / "config"),
                "HOME": str(folder),
            }
            arguments = ["--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
            run([caddy, "validate", *arguments], env=environment)
            run([caddy, "fmt", str(DEPLOY / "caddy/Caddyfile")], env=environment)
            with process([caddy, "run", *arguments], folder, port, environment):
                root = folder / "share/caddy/pki/authorities/local/root.crt"
                deadline = time.monotonic() + EVENT_SECONDS
                while not root.is_file() and time.monotonic() < deadline:
                    time.sleep(0.05)
                done = use(f"https://{NAME}:{port}", ssl.create_default_context(cafile=str(root)))
        version = run([caddy, "version"]).strip()
    return f"Caddy {version}: validate; {done}"


def use(url: str, context: ssl.SSLContext) -> str:
    """Do through a proxy what users and senders do, and return what was done."""
    transport = httpx.HTTPTransport(verify=context, local_address=CLIENT)
    with httpx.Client(base_url=url, transport=transport, timeout=60) as client:
        page = client.get("/")
        require(
            page.status_code == httpx.codes.OK and "<script" in page.text, f"the page: {page.status_code}"
        )
        require(client.get("/api/status").status_code == httpx.codes.UNAUTHORIZED, "the API is open")
        for path in ("/metrics", "/readyz"):
            require(client.get(path).status_code == httpx.codes.NOT_FOUND, f"{path} is open")

        body = Sender("shop")
        body.request("GET", "/cart/")
        answer = client.post("/v1/traces", content=body.body(), headers=PROTOBUF_HEADERS)
        require(
            answer.status_code == httpx.codes.UNAUTHORIZED, f"a body without a token: {answer.status_code}"
        )
        token = {**PROTOBUF_HEADERS, "Authorization": f"Bearer {TOKEN}"}
        answer = client.post("/v1/traces", content=body.body(), headers=token)
        require(answer.status_code == httpx.codes.OK, f"a body: {answer.status_code} {answer.text}")
        answer = client.post("/v1/traces", content=bytes(33 << 20), headers=token)
        require(answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE, f"33 MiB: {answer.status_code}")

        signed = client.post("/api/session", json={"name": USER, "password": WORDS}, headers={"Origin": url})
        require(signed.status_code == httpx.codes.OK, f"signing in: {signed.status_code} {signed.text}")
        require("secure" in signed.headers["set-cookie"].lower(), "the cookie is not for https only")
        packed = client.get("/api/services", headers={"Accept-Encoding": "gzip"})
        require(packed.status_code == httpx.codes.OK, f"the API: {packed.status_code} {packed.text[:300]}")
        _events(client, token)

        # Another name, and an address that the client makes up: the proxy's own entry counts.
        for number in range(ATTEMPTS + 1):
            refused = client.post(
                "/api/session",
                json={"name": "eve", "password": f"guess {number}"},
                headers={"Origin": url, "X-Forwarded-For": f"198.51.100.{number}"},
            )
        require(
            refused.status_code == httpx.codes.TOO_MANY_REQUESTS,
            f"a made-up X-Forwarded-For counts: {refused.status_code}",
        )
    return "page, API, sign-in and its limits, OTLP bodies, server-sent events at once"


def _events(client: httpx.Client, token: dict[str, str]) -> None:
    """Read the first event of the stream, cause another, and read it while the stream is open."""
    with client.stream("GET", "/api/live", timeout=EVENT_SECONDS) as stream:
        require(stream.headers["content-type"].startswith("text/event-stream"), "no events at /api/live")
        lines = stream.iter_lines()
        before = _next_stored(lines)
        another = Sender("shop", instance="two")
        another.request("GET", "/late/")
        answer = client.post("/v1/traces", content=another.body(), headers=token)
        require(answer.status_code == httpx.codes.OK, f"a body: {answer.status_code}")
        require(_next_stored(lines) > before, "the event of what was stored since does not come")


def _next_stored(lines: Iterator[str]) -> int:
    """Return when data was last stored, nanoseconds since the epoch, from the next event `changed`."""
    changed = False
    for line in lines:
        if line.startswith("event:"):
            changed = line == "event: changed"
        elif changed and line.startswith("data:"):
            return int(json.loads(line[5:])["stored_ns"] or 0)
    raise CheckFailedError("the stream ended")
