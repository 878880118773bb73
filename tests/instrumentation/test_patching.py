"""Patches of what may be imported later, or never."""

import importlib
import logging
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from asgiscope import internal_errors
from asgiscope.patching import Patches


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Return the name of a module that can be imported and has not been; it says hello."""
    name = f"later_{request.node.name}"
    (tmp_path / f"{name}.py").write_text("def hello():\n    return 'hello'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def _loudly(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> str:
    return str(wrapped(*args, **kwargs)).upper()


def test_a_module_is_patched_when_it_is_imported(module: str) -> None:
    """By all who asked and are still on; and it is whole again when the last is off."""
    first, second, gone = Patches(), Patches(), Patches()
    for patches in (first, second, gone):
        patches.when_imported(module, partial(patches.wrap, name="hello", wrapper=_loudly))
    gone.remove()

    imported = importlib.import_module(module)

    assert imported.hello() == "HELLO"
    for patches in (second, first):
        assert type(vars(imported)["hello"]).__name__ == "FunctionWrapper"
        patches.remove()
    assert type(vars(imported)["hello"]).__name__ == "function"


def test_a_module_that_is_there_is_patched_at_once(module: str) -> None:
    """Nothing is waited for."""
    imported = importlib.import_module(module)
    patches = Patches()
    patches.when_imported(module, lambda found: patches.wrap(found, "hello", _loudly))
    assert imported.hello() == "HELLO"
    patches.remove()
    assert imported.hello() == "hello"


def test_an_import_does_not_fail_with_its_patch(
    module: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, and logged once."""
    monkeypatch.setattr(internal_errors, "counts", type(internal_errors.counts)())
    patches = Patches()
    patches.when_imported(module, lambda found: patches.wrap(found, "no_such_function", _loudly))
    with caplog.at_level(logging.WARNING, logger="asgiscope"):
        imported = importlib.import_module(module)
    assert imported.hello() == "hello"
    assert internal_errors.counts == {"patching.imported": 1}
    assert len(caplog.records) == 1
