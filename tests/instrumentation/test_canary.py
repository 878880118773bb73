"""Canaries: what each probe relies on in a foreign library. One that falls says which release changed what."""

import asyncio
import concurrent.futures
import inspect
import re
import types
from typing import Any

import asgiref.sync
import uvloop
from asgiref import current_thread_executor
from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiscope.probes.asgiref import MESSAGES
from asgiscope.probes.django_core import caches as cache_probe
from asgiscope.probes.django_core import files as file_probe
from asgiscope.probes.django_core import hashing as hash_probe
from django.contrib.auth import hashers
from django.core.cache import CacheHandler, caches
from django.core.cache.backends.base import BaseCache
from django.core.files.storage import FileSystemStorage, Storage
from django.core.files.storage.handler import StorageHandler
from django.core.files.utils import FileProxyMixin
from django.core.handlers import asgi, base, exception, wsgi
from django.core.mail.backends import console, dummy, filebased, locmem, smtp
from django.core.mail.backends.base import BaseEmailBackend
from django.db.backends import utils
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import base as models
from django.db.models import signals
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse
from django.template.backends import django as engine
from django.template.backends import jinja2
from django.utils import asyncio as guard


def test_asgiref_bridges() -> None:
    """Classes with `__call__`, the bridged callable as `func` and `awaitable`, and three public attributes."""
    bridge = asgiref.sync.sync_to_async(len)
    assert bridge.func is len  # type: ignore[attr-defined]
    assert inspect.iscoroutinefunction(asgiref.sync.SyncToAsync.__call__)

    async def coroutine() -> None:
        """Do nothing."""

    back: Any = asgiref.sync.async_to_sync(coroutine)
    assert back.awaitable is coroutine
    assert isinstance(asgiref.sync.SyncToAsync.single_thread_executor, concurrent.futures.ThreadPoolExecutor)
    assert hasattr(asgiref.sync.SyncToAsync, "thread_sensitive_context")
    assert hasattr(asgiref.sync.SyncToAsync, "context_to_thread_executor")
    assert "submit" in vars(CurrentThreadExecutor)


def test_loops_submit_to_executors_by_their_public_method() -> None:
    """`run_in_executor` of asyncio and of uvloop both call `executor.submit`."""

    class Seen(concurrent.futures.ThreadPoolExecutor):
        count = 0

        def submit(self, *args: Any, **kwargs: Any) -> Any:
            Seen.count += 1
            return super().submit(*args, **kwargs)

    async def main() -> int:
        return await asyncio.get_running_loop().run_in_executor(executor, len, "abc")

    with Seen(1) as executor:
        assert asyncio.run(main()) == 3
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            assert runner.run(main()) == 3
    assert Seen.count == 2


def test_djangos_guard_asks_for_the_running_loop_by_its_global_name() -> None:
    """And raises only when there is one; the message and the function are free variables of the guard."""

    def work() -> str:
        return "done"

    guarded = guard.async_unsafe("not here")(work)
    assert isinstance(guarded, types.FunctionType)
    assert "get_running_loop" in guarded.__code__.co_names
    assert {"func", "message"} <= set(guarded.__code__.co_freevars)
    assert guarded() == "done"


def test_asgiref_messages_identify_its_rules() -> None:
    """It raises RuntimeError for all of them."""
    source = inspect.getsource(asgiref.sync) + inspect.getsource(current_thread_executor)
    source = re.sub(r'"\s+"', "", source)
    assert all(text in source for text, _ in MESSAGES)


def test_djangos_handlers_and_cursors_have_the_methods_we_wrap() -> None:
    """By name, on the classes themselves."""
    for name in ("load_middleware", "resolve_request", "get_response", "get_response_async"):
        assert name in vars(base.BaseHandler)
    for name in ("__call__", "send_response", "listen_for_disconnect"):
        assert name in vars(asgi.ASGIHandler)
    # What Django does in `handle` after it has sent the answer, nobody waits for.
    assert {"send_response", "listen_for_disconnect"} <= _names(asgi.ASGIHandler.handle.__code__)
    assert "send_response" not in asgi.ASGIHandler.get_response_async.__code__.co_names
    assert list(inspect.signature(exception.response_for_exception).parameters) == ["request", "exc"]
    assert "response_for_exception" in _names(exception.convert_exception_to_response.__code__)
    assert "__call__" in vars(wsgi.WSGIHandler)
    for name in ("execute", "executemany", "callproc"):
        assert name in vars(utils.CursorWrapper)
    assert "connect" in vars(BaseDatabaseWrapper)


def _names(code: types.CodeType) -> set[str]:
    """Return the names that a function and those within it look up."""
    inner = (const for const in code.co_consts if isinstance(const, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))


def test_djangos_wrapper_names_the_middleware_it_wraps() -> None:
    """`convert_exception_to_response` sets `__wrapped__`, which is how a bridge tells its middleware."""

    def middleware(_request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    assert exception.convert_exception_to_response(middleware).__wrapped__ is middleware  # type: ignore[attr-defined]


def test_caches_are_made_by_their_handler_and_called_by_the_names_we_wrap() -> None:
    """Instances are made in `create_connection`; the async methods call the synchronous ones in a thread."""
    assert "create_connection" in vars(CacheHandler)
    assert "initialized_only" in inspect.signature(caches.all).parameters
    core = set(cache_probe.OPERATIONS) - {"delete_pattern", "keys"}
    assert core <= set(vars(BaseCache))
    assert {
        name.removeprefix("a") for name in vars(BaseCache) if name.startswith("a") and name[1:] in core
    } == core
    for name in ("get", "set", "delete"):
        assert "sync_to_async" in vars(BaseCache)[f"a{name}"].__code__.co_names


def test_templates_of_both_engines_render_by_a_method_of_their_own() -> None:
    """And know the template they were made of, which has a name."""
    for module in (engine, jinja2):
        assert "render" in vars(module.Template)
    assert "template" in inspect.signature(engine.Template).parameters


def test_signals_are_sent_by_two_methods_and_have_a_list_of_receivers() -> None:
    """A signal takes an attribute of its own, and models send theirs by looking the method up on it."""
    assert {"send", "send_robust"} <= set(vars(Signal))
    assert isinstance(Signal().receivers, list)
    assert "send" not in vars(signals.pre_init)
    assert {"pre_init", "post_init", "send"} <= set(models.Model.__init__.__code__.co_names)


def test_hashers_are_found_by_a_global_function() -> None:
    """`make_password` and `verify_password` ask `get_hasher` by its global name; a hasher has three methods."""
    for function in (hashers.make_password, hashers.verify_password):
        assert "get_hasher" in function.__code__.co_names
    assert set(hash_probe.METHODS) <= set(dir(hashers.PBKDF2PasswordHasher))
    assert "algorithm" in dir(hashers.PBKDF2PasswordHasher)


def test_storages_and_files_have_the_methods_and_properties_we_wrap() -> None:
    """A storage opens and saves by methods of the base class; a file reads and writes by properties."""
    assert {"open", "save"} <= set(vars(Storage))
    assert "create_storage" in vars(StorageHandler)
    assert set(file_probe.OPERATIONS) <= set(vars(FileSystemStorage))
    assert all(isinstance(vars(FileProxyMixin)[name], property) for name in file_probe.CONTENT)


def test_forms_and_uploads_are_parsed_by_one_method_of_the_request() -> None:
    """Under ASGI and WSGI, by the properties `POST` and `FILES`."""
    assert "_load_post_and_files" in vars(HttpRequest)
    for kind in (asgi.ASGIRequest, wsgi.WSGIRequest):
        assert "_load_post_and_files" not in vars(kind)
        assert "_load_post_and_files" in vars(kind)["_get_post"].__code__.co_names


def test_mail_back_ends_inherit_from_one_class_and_send_by_one_method() -> None:
    """Which has no `__init_subclass__` of its own."""
    assert "__init_subclass__" not in vars(BaseEmailBackend)
    for module in (console, dummy, filebased, locmem, smtp):
        backend = module.EmailBackend
        assert issubclass(backend, BaseEmailBackend)
        assert callable(backend.send_messages)
