"""The site as Django loads it: settings, versions, probes, middleware.

Nothing is sent or kept: asgiscope is disabled while Django starts, and the probes are installed and removed
with a sender that drops everything.
"""

import ast
import contextlib
import dataclasses
import importlib.util
import inspect
import logging
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from asgiscope.config import PREFIX, Config, SettingError, load, sources
from asgiscope.doctor.report import Probe, Report, Setting, Step
from asgiscope.instrumentor import Instrumentation, instead
from asgiscope.probes import Unsupported, bolt
from asgiscope.probes.django_core import handler
from asgiscope.testing.memory import Memory

logger = logging.getLogger("asgiscope")
_MODULE = "DJANGO_SETTINGS_MODULE"
_FRAMEWORKS = ("Django", "asgiref", "channels", "djangorestframework", "opentelemetry-sdk", "wrapt", "uvloop")
_SERVERS = (
    "uvicorn",
    "uvicorn-worker",
    "gunicorn",
    "daphne",
    "hypercorn",
    "granian",
    "bengal-pounce",
    "django-bolt",
)
_OLDEST = {"Django": (5, 2), "asgiref": (3, 8, 1)}
_SECRET = ("HEADERS", "CLIENT_KEY")
_UNSAFE = "DJANGO_ALLOW_ASYNC_UNSAFE"


class CannotLook(Exception):  # noqa: N818 - an outcome; the message says what to do about it
    """The site could not be loaded."""


def find_settings(report: Report, given: str | None) -> None:
    """Find the settings module: the given one, the environment variable's, or the one named in manage.py.

    Raises:
        CannotLook: there is none.
    """
    manage = next((p for f in (Path.cwd(), *Path.cwd().parents) if (p := f / "manage.py").is_file()), None)
    named = _named_by(manage) if manage is not None else ""
    for module, found in (
        (given, "--settings"),
        (os.environ.get(_MODULE), _MODULE),
        (named, f"named by {manage}"),
    ):
        if module:
            report.settings_module, report.settings_found = module, found
            break
    else:
        raise CannotLook(
            f"{_MODULE} is not set and no manage.py here names it. Run this in the project's folder, or give "
            "--settings mysite.settings."
        )
    folder = str(manage.parent) if manage is not None else str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    os.environ[_MODULE] = report.settings_module


def _named_by(manage: Path) -> str:
    """Return the module in `os.environ.setdefault("DJANGO_SETTINGS_MODULE", "...")`, or in an assignment to it."""
    try:
        tree = ast.parse(manage.read_text())
    except (OSError, SyntaxError, ValueError):
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            texts = [part.value for part in node.args if isinstance(part, ast.Constant)]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            texts = [
                part.value for part in (node.targets[0].slice, node.value) if isinstance(part, ast.Constant)
            ]
        else:
            continue
        if texts[:1] == [_MODULE] and len(texts) > 1 and isinstance(texts[1], str):
            return texts[1]
    return ""


def load_django(report: Report) -> None:
    """Start Django with asgiscope disabled.

    Raises:
        CannotLook: Django is missing, or does not start.
    """
    variable = PREFIX + "DISABLED"
    before = os.environ.get(variable)
    os.environ[variable] = "1"
    try:
        import django  # noqa: PLC0415 - may be missing

        django.setup()
    except ModuleNotFoundError as error:
        if error.name == "django":
            raise CannotLook(f"Django is not installed for {sys.executable}.") from error
        raise CannotLook(
            f"Django does not start with {report.settings_module}: {error}. Is this the project's folder, and its "
            "environment?"
        ) from error
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        raise CannotLook(f"Django does not start with {report.settings_module}: {message}") from error
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


def read_settings(report: Report) -> Config:
    """Return the active settings; an invalid one is reported as a problem, and the defaults are returned."""
    from django.conf import settings  # noqa: PLC0415 - Django is loaded by now

    given = dict(getattr(settings, "ASGISCOPE", None) or {})
    config = Config()
    try:
        config = load(django_settings=given)
    except SettingError as error:
        report.problems.append(f"asgiscope would not be active: {error}.")
    for name, source in sources(django_settings=given).items():
        report.settings.append(Setting(PREFIX + name.upper(), _plain(getattr(config, name)), source))
    for name, value in sorted(os.environ.items()):
        if name.startswith("OTEL_"):
            report.opentelemetry[name] = (
                "(set, not shown)" if name.endswith(_SECRET) else _without_user(value)
            )
    if config.disabled:
        source = sources(django_settings=given)["disabled"]
        report.problems.append(f"asgiscope is switched off by {source}; the rest is as if it were on.")
    if config.off_file and Path(config.off_file).exists():
        report.problems.append(
            f"asgiscope is switched off while {config.off_file} exists (ASGISCOPE_OFF_FILE)."
        )
    if os.environ.get(_UNSAFE):
        report.problems.append(
            f"{_UNSAFE} is set: Django lets synchronous queries block the event loop, and lets threads share "
            "connections. Unset it, and await what is then refused."
        )
    return config


def _plain(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return _without_user(text)


def _without_user(text: str) -> str:
    """Return a URL without user name and password."""
    scheme, found, rest = text.partition("://")
    if not found:
        return text
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def read_versions(report: Report) -> None:
    """Report the versions of Python and of relevant packages that are installed."""
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    report.versions["Python"] = (
        f"{platform.python_implementation()} {platform.python_version()}{'' if gil else ', without GIL'}"
    )
    for name in ("asgiscope", *_FRAMEWORKS, *_SERVERS):
        try:
            report.versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    for name, oldest in _OLDEST.items():
        version = report.versions.get(name, "")
        if tuple(int(part) for part in version.split(".") if part.isdecimal()) < oldest:
            wanted = ".".join(map(str, oldest))
            report.problems.append(
                f"{name} {version or 'is missing'}: asgiscope supports {wanted} and newer."
            )
    if not any(name in report.versions for name in _SERVERS):
        report.notes.append(f"No ASGI server is installed in this environment ({', '.join(_SERVERS)}).")
    report.notes += loop_notes(set(report.versions))
    with contextlib.suppress(metadata.PackageNotFoundError):
        metadata.version("opentelemetry-instrumentation-django")
        report.notes.append(
            "opentelemetry-instrumentation-django is installed: where DjangoInstrumentor is active, asgiscope runs "
            "its middleware without hops, and its server span is the request's only one."
        )


def loop_notes(servers: set[str]) -> list[str]:
    """Return one sentence per server that can run in a mode that asgiscope does not support."""
    notes = []
    if "hypercorn" in servers and importlib.util.find_spec("trio") is not None:
        notes.append(
            "hypercorn -k trio is not seen: asgiref and Django need asyncio. Use -k asyncio or -k uvloop."
        )
    if importlib.util.find_spec("pounce") is not None:
        notes.append(
            "bengal-pounce's subinterpreters are not seen: asgiscope's threads cannot run in one. Let its workers "
            "be processes or threads."
        )
    return notes


def read_bolt(report: Report) -> None:
    """Report whether django-bolt's own handlers are recorded, which its server calls without any ASGI handler."""
    if "django-bolt" not in report.versions:
        return
    try:
        bolt.check(importlib.import_module(bolt.MODULE))
    except Unsupported as error:
        report.problems.append(f"django-bolt's own handlers are not seen: {error}.")
    except Exception as error:  # noqa: BLE001 - whatever its import raises is the answer
        report.problems.append(
            f"django-bolt's own handlers are not seen: {bolt.MODULE} cannot be imported: {error}."
        )
    else:
        report.notes.append(
            "django-bolt's own handlers are seen, but not what its Rust server does before and after them."
        )


def try_probes(report: Report, config: Config) -> None:
    """Install every probe and remove it again."""
    made = Instrumentation(dataclasses.replace(config, disabled=False), Memory(), warn=logger.debug)
    with instead(made):
        report.probes = [
            Probe(name, name in made.installed, made.refused.get(name, "")) for name in made.probes()
        ]
        read_middleware(report)  # needs the probes to be installed
    for probe in report.probes:
        if not probe.installed and PREFIX not in probe.refused:
            report.problems.append(f"The probe {probe.name} would be left out: {probe.refused}.")


def read_middleware(report: Report) -> None:
    """Report the middleware chain, the mode of each, and the hops that it costs a request under ASGI."""
    try:
        chain = handler.describe(0, handler.Middleware(), is_async=True)
    except ImportError as error:
        report.problems.append(f"settings.MIDDLEWARE cannot be loaded: {error}.")
        return
    runs_async = True
    for name, capable, adaptation in zip(chain.names, chain.modes, chain.adapted, strict=True):
        runs_async = runs_async if not adaptation else adaptation == "async_to_sync"
        hops = int(adaptation == "sync_to_async") + _own_hops(name, runs_async=runs_async)
        report.middleware.append(Step(name, capable, "async" if runs_async else "sync", adaptation, hops))
        if capable == "sync" and name != handler.VIEW:
            report.notes.append(f"{name} is sync-only: it sends every request through a thread.")
    # For each: a hop for the synchronous receivers of request_started, and one to close the response.
    report.hops_async_view = sum(step.hops for step in report.middleware) + _signal_hops() + 1
    report.hops_sync_view = report.hops_async_view + 1


def _own_hops(name: str, *, runs_async: bool) -> int:
    """Return the hops that Django makes inside a middleware: each synchronous hook runs in a thread."""
    from django.utils.deprecation import MiddlewareMixin  # noqa: PLC0415 - Django is loaded by now
    from django.utils.module_loading import import_string  # noqa: PLC0415

    middleware = import_string(name) if name != handler.VIEW else None
    if middleware is None or getattr(middleware, "has_async_view_hook", False):
        return 0
    view_hook = getattr(middleware, "process_view", None)
    hops = int(view_hook is not None and not inspect.iscoroutinefunction(view_hook))
    if runs_async and isinstance(middleware, type) and issubclass(middleware, MiddlewareMixin):
        own_call = middleware.__acall__ is not MiddlewareMixin.__acall__
        if not own_call:
            hops += sum(hasattr(middleware, hook) for hook in ("process_request", "process_response"))
    return hops


def _signal_hops() -> int:
    from django.core.handlers.asgi import ASGIHandler  # noqa: PLC0415 - Django is loaded by now
    from django.core.signals import request_started  # noqa: PLC0415

    synchronous = request_started._live_receivers(ASGIHandler)[0]  # noqa: SLF001
    return int(bool(synchronous))


def read_ways_in(report: Report) -> None:
    """Report what in the project enables asgiscope.

    `asgiscope run` and `opentelemetry-instrument` need nothing there.
    """
    from django.apps import apps  # noqa: PLC0415 - Django is loaded by now

    if apps.is_installed("asgiscope"):
        report.ways_in.append("INSTALLED_APPS")
    package = report.settings_module.partition(".")[0]
    if _calls_instrument(f"{package}.asgi"):
        report.ways_in.append(f"{package}/asgi.py")
    if os.environ.get("ASGISCOPE_RUN_PID"):
        report.ways_in.append("asgiscope run")
    if not report.ways_in:
        report.notes.append(
            'Nothing in the project switches asgiscope on. Start the server with "asgiscope run -- ...", or add '
            '"asgiscope" to INSTALLED_APPS.'
        )


def _calls_instrument(module: str) -> bool:
    """Return whether a module's source calls `asgiscope.instrument()`. It is parsed, not executed."""
    try:
        spec = importlib.util.find_spec(module)
        source = Path(spec.origin).read_text() if spec is not None and spec.origin else ""
        tree = ast.parse(source)
    except (ImportError, OSError, SyntaxError, ValueError):
        return False
    imported = "asgiscope" in source
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return imported and any(
        getattr(called, "attr", getattr(called, "id", "")) == "instrument" for called in calls
    )
