"""What the probe of django-bolt relies on, and what is said where a release differs.

Modules stand in for releases that differ; `tests/compat/servers/test_bolt.py` runs the real one.
"""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
from asgiscope.doctor import site
from asgiscope.doctor.report import Report
from asgiscope.probes import Unsupported, bolt
from asgiscope.recorder import Recorder

SEEN = "django-bolt's own handlers are seen, but not what its Rust server does before and after them."


class BoltAPI:
    """As django-bolt 0.13's, as far as the probe goes."""

    async def _dispatch(self, handler: Any, request: Any, handler_id: int = 0) -> Any:
        return handler, request, handler_id

    def _dispatch_sync(self, handler: Any, request: Any, handler_id: int = 0) -> Any:
        return handler, request, handler_id

    def _route_decorator(self, method: str, path: str) -> Any:
        return method, path


class WithoutInline:
    """A release that has no inline handlers any more."""

    _dispatch = BoltAPI._dispatch
    _route_decorator = BoltAPI._route_decorator


class Reordered(BoltAPI):
    """A release whose server gives other arguments."""

    async def _dispatch(self, request: Any, handler: Any, handler_id: int = 0) -> Any:  # type: ignore[override] # on purpose
        return handler, request, handler_id


LACKS = "its BoltAPI has no _dispatch_sync"
OTHER = "its BoltAPI._dispatch takes request, handler, handler_id, not handler, request, handler_id"


def place(monkeypatch: pytest.MonkeyPatch, api: object) -> ModuleType:
    """Put a django-bolt with such a BoltAPI where an import finds it."""
    package, module = ModuleType("django_bolt"), ModuleType(bolt.MODULE)
    vars(module)["BoltAPI"] = api
    vars(package)["api"] = module
    monkeypatch.setitem(sys.modules, "django_bolt", package)
    monkeypatch.setitem(sys.modules, bolt.MODULE, module)
    return module


@pytest.mark.parametrize(("api", "why"), [(WithoutInline, LACKS), (Reordered, OTHER), (None, "no _dispatch")])
def test_another_django_bolt_is_left_alone_with_one_line(
    monkeypatch: pytest.MonkeyPatch, api: Any, why: str
) -> None:
    """Nothing of it is patched, and the doctor says so too."""
    module = place(monkeypatch, api)
    with pytest.raises(Unsupported, match=why):
        bolt.check(module)
    said: list[tuple[Any, ...]] = []
    own = getattr(api, "_dispatch", None)
    bolt.install(
        cast("Recorder", None), cast("Any", None), cast("Any", None), lambda *line: said.append(line)
    )
    ((text, error),) = said
    assert text == "asgiscope does not see django-bolt's own handlers: %s"
    assert why in str(error)
    assert getattr(api, "_dispatch", None) is own
    report = Report(versions={"django-bolt": "9.9"})
    site.read_bolt(report)
    assert report.notes == []
    (problem,) = report.problems
    assert problem.startswith("django-bolt's own handlers are not seen: ")
    assert why in problem


def test_the_django_bolt_that_the_probe_was_written_for_is_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of its server to a handler, and both as they were afterwards."""
    place(monkeypatch, BoltAPI)
    own = BoltAPI._dispatch, BoltAPI._dispatch_sync
    patches = bolt.install(
        cast("Recorder", None), cast("Any", None), SimpleNamespace(excluded=lambda _path: True), pytest.fail
    )
    try:
        assert BoltAPI._dispatch is not own[0]
        assert BoltAPI._dispatch_sync is not own[1]
        request = SimpleNamespace(path="/excluded/")
        assert BoltAPI()._dispatch_sync("handler", request, 3) == ("handler", request, 3)
    finally:
        patches.remove()
    assert (BoltAPI._dispatch, BoltAPI._dispatch_sync) == own
    report = Report(versions={"django-bolt": "0.13.1"})
    site.read_bolt(report)
    assert (report.notes, report.problems) == ([SEEN], [])


def test_the_doctor_says_nothing_of_a_site_without_it_and_what_an_import_raises(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its extension in Rust may not load."""
    report = Report(versions={"Django": "6.0"})
    site.read_bolt(report)
    assert (report.notes, report.problems) == ([], [])
    monkeypatch.setitem(sys.modules, "django_bolt", None)
    report.versions["django-bolt"] = "0.13.1"
    site.read_bolt(report)
    (problem,) = report.problems
    assert problem.startswith("django-bolt's own handlers are not seen: django_bolt.api cannot be imported: ")
