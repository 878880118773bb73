"""The middleware page counts the hops of each layer that `asgiscope doctor` does, on a site with all kinds."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.api import Api, Evidence, Json
from tests.servers import Server, asgi_command, free_port

SETTINGS = """
SECRET_KEY, USE_TZ, ALLOWED_HOSTS, ROOT_URLCONF = "x", True, ["*"], "pages"
INSTALLED_APPS = ["asgiscope", "django.contrib.sessions", "django.contrib.messages"]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
MIDDLEWARE = [
    "layers.Viewed",
    "django.middleware.security.SecurityMiddleware",
    "layers.Quiet",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "layers.Common",
    "layers.sync_only",
    "django.middleware.csrf.CsrfViewMiddleware",
    "layers.Stamp",
    "django.contrib.messages.middleware.MessageMiddleware",
]
"""
LAYERS = """
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.middleware.common import CommonMiddleware
from django.utils.decorators import sync_and_async_middleware
from django.utils.deprecation import MiddlewareMixin

class Common(CommonMiddleware):
    "Inherits its hooks: they are called by the name of the class that defines them."

def sync_only(get_response):
    return lambda request: get_response(request)

@sync_and_async_middleware
def Quiet(get_response):
    if iscoroutinefunction(get_response):
        async def middleware(request):
            return await get_response(request)
    else:
        def middleware(request):
            return get_response(request)
    return middleware

class Stamp(MiddlewareMixin):
    def process_response(self, request, response):
        response["X-Stamp"] = "1"
        return response

class Viewed:
    sync_capable, async_capable = False, True

    def __init__(self, get_response):
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request):
        return await self.get_response(request)

    def process_view(self, request, view, args, kwargs):
        return None
"""
PAGES = """
from django.http import HttpResponse
from django.urls import path

async def page(request):
    return HttpResponse("page")

urlpatterns = [path("", page)]
"""
ASGI = """
from django.core.asgi import get_asgi_application

application = get_asgi_application()
"""
REQUESTS = 40


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the site's folder."""
    for name, text in {"settings": SETTINGS, "layers": LAYERS, "pages": PAGES, "asgi": ASGI}.items():
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


@pytest.fixture(params=["1.0", "0.1"])
def served(project: Path, collector: Server, request: pytest.FixtureRequest) -> str:
    """Return the name of a site that has answered some requests; with one trace in ten sent, too."""
    port, service = free_port(), f"middleware-{request.param}"
    env = {
        "DJANGO_SETTINGS_MODULE": "settings",
        "OTEL_SERVICE_NAME": service,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_METRIC_EXPORT_INTERVAL": "300",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": request.param,
    }
    command = asgi_command("uvicorn", "asgi:application", port)
    with (
        Server(command, port, cwd=project, env=env, log=project / "site.log", ready="/") as site,
        httpx.Client(base_url=site.url, trust_env=False, timeout=30) as client,
    ):
        for _ in range(REQUESTS):
            assert client.get("/").status_code == httpx.codes.OK
    return service


def doctor(project: Path, *, last: str = "", instead: str = "") -> list[dict[str, Any]]:
    """Return the layers of the chain as doctor sees them.

    `last` is moved behind the others first; `instead` takes the place of the sync-only middleware.
    """
    settings = SETTINGS.replace("layers.sync_only", instead) if instead else SETTINGS
    if last:
        entry = f'    "{last}",\n'
        settings = settings.replace(entry, "").rstrip().removesuffix("]") + f"{entry}]\n"
    (project / "settings.py").write_text(settings)
    done = subprocess.run(
        [sys.executable, "-m", "asgiscope", "doctor", "--json", "--settings", "settings"],
        cwd=project,
        env={name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "DJANGO_"))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    steps: list[dict[str, Any]] = json.loads(done.stdout)["middleware"]
    return steps


def test_the_page_counts_the_hops_of_each_middleware_as_doctor_does(
    project: Path, served: str, api: Api
) -> None:
    """Adaptations and hooks, inherited ones too, whether or not every trace is sent."""
    steps = doctor(project)

    now = sum(step["hops"] for step in steps)

    def chain_of_all() -> Json | None:
        """Return the chain once all is stored; an answer between two loads has requests without their calls."""
        chains: list[Json] = api.ask("/api/middleware", service=served).raise_for_status().json()["chains"]
        whole = bool(chains) and chains[0]["requests"] > REQUESTS
        return (
            chains[0] if whole and chains[0]["hops"] + chains[0]["hook_hops"] == pytest.approx(now) else None
        )

    chain: Json = Evidence(api, served).wait_for(chain_of_all, "the chain, and every request with its hops")
    assert [layer["name"] for layer in chain["layers"]] == [step["name"] for step in steps]
    counted = {layer["name"]: layer["hops"] + layer["hook_hops"] for layer in chain["layers"]}
    assert counted == pytest.approx({step["name"]: step["hops"] for step in steps})
    assert chain["hook_hops"] >= 5, chain
    assert [change["saves_hops"] for change in chain["changes"]][-1] == round(chain["hook_hops"])
    suggested = {change["title"].split()[-1]: change for change in chain["changes"]}
    assert suggested["last"]["layers"] == ["layers.sync_only"]
    assert (
        now - sum(step["hops"] for step in doctor(project, last="layers.sync_only"))
        == suggested["last"]["saves_hops"]
    )
    # In its thread those before it run without hops of their own: made async, it costs more than it saves.
    added = sum(step["hops"] for step in doctor(project, instead="layers.Quiet")) - now
    assert -suggested["async-capable"]["saves_hops"] == added > 0
