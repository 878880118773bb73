"""Canaries of the ways in, of tests and of the doctor: what they rely on in Django, in Python and in wrapt."""

import asyncio
import inspect
import multiprocessing.util
import subprocess
import sys
from typing import Any

import wrapt
from django.apps.registry import Apps
from django.core.management.commands import runserver
from django.core.servers import basehttp
from django.core.signals import request_started
from django.test import client
from django.utils import autoreload
from django.utils.deprecation import MiddlewareMixin


def test_django_asks_for_its_apps_when_their_models_are_ready(monkeypatch: Any) -> None:
    """`populate` calls `get_app_configs` between `models_ready` and the first `ready()`."""
    seen: list[tuple[bool, bool]] = []
    real = Apps.get_app_configs

    def get_app_configs(self: Apps) -> Any:
        seen.append((self.models_ready, self.ready))
        return real(self)

    monkeypatch.setattr(Apps, "get_app_configs", get_app_configs)
    Apps([])
    assert seen[-1] == (True, False)


def test_runserver_takes_run_by_name_from_basehttp() -> None:
    """What is patched there before the command is imported is what serves."""
    assert vars(runserver)["run"] is basehttp.run
    assert "serve_forever" in basehttp.run.__code__.co_names


def test_djangos_reloader_runs_its_child_by_subprocess() -> None:
    """By name from its own module; `subprocess.run` kills what it waits for when it is interrupted."""
    assert "restart_with_reloader" in autoreload.run_with_reloader.__code__.co_names
    assert {"subprocess", "run"} <= set(autoreload.restart_with_reloader.__code__.co_names)
    assert "kill" in subprocess.run.__code__.co_names


def test_multiprocessing_takes_finalizers_after_a_fork() -> None:
    """By name; tests/instrumentation/test_processes.py sees a forked child call one."""
    assert list(inspect.signature(multiprocessing.util.register_after_fork).parameters) == ["obj", "func"]
    assert {"obj", "callback", "exitpriority"} <= set(
        inspect.signature(multiprocessing.util.Finalize).parameters
    )


def test_import_hooks_fire_once_and_for_what_is_there() -> None:
    """At once for a module that has been imported."""
    seen: list[Any] = []
    wrapt.register_post_import_hook(seen.append, "asyncio")
    assert seen == [sys.modules["asyncio"]]


def test_djangos_test_clients_serve_through_their_handlers() -> None:
    """By `__call__` on the class; the asynchronous one is given an ASGI scope of type http."""
    assert "__call__" in vars(client.ClientHandler)
    assert inspect.iscoroutinefunction(vars(client.AsyncClientHandler)["__call__"])
    scope: Any = client.AsyncRequestFactory()._base_scope(path="/")  # type: ignore[attr-defined] # not in stubs
    assert scope["type"] == "http"


def test_every_asyncio_loop_runs_by_run_forever() -> None:
    """`asyncio.run` and `run_until_complete` too."""
    assert "run_forever" in asyncio.BaseEventLoop.run_until_complete.__code__.co_names
    assert "run_until_complete" in asyncio.Runner.run.__code__.co_names


def test_what_the_doctor_counts_hops_by() -> None:
    """A middleware of Django's mixin crosses once for each hook; receivers come as synchronous and asynchronous."""
    assert MiddlewareMixin.__acall__.__code__.co_names.count("sync_to_async") == 1
    assert {"process_request", "process_response"} <= set(MiddlewareMixin.__acall__.__code__.co_names)
    synchronous, asynchronous = request_started._live_receivers(None)
    assert isinstance(synchronous, list)
    assert isinstance(asynchronous, list)
