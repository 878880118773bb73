"""Whose code a frame runs, and which is the call site."""

import sys
from pathlib import Path

import pytest
from asgiscope.stack import call_site
from asgiscope.stack.call_site import Owner


@pytest.mark.parametrize(
    ("filename", "owner"),
    [
        ("/srv/shop/views.py", Owner.APPLICATION),
        ("/srv/.venv/lib/python3.11/site-packages/django/db/models/query.py", Owner.FRAMEWORK),
        ("/srv/.venv/lib/python3.11/site-packages/asgiref/sync.py", Owner.FRAMEWORK),
        ("/srv/.venv/lib/python3.11/site-packages/requests/api.py", Owner.THIRD_PARTY),
        ("/usr/lib/python3/dist-packages/six.py", Owner.THIRD_PARTY),
        ("/usr/lib/python3.11/asyncio/base_events.py", Owner.BOUNDARY),
        ("<frozen runpy>", Owner.STDLIB),
        (str(Path(sys.executable).with_name("gunicorn")), Owner.BOUNDARY),
        (str(Path(call_site.__file__).with_name("scope.py")), Owner.OWN),
    ],
)
def test_owner(filename: str, owner: Owner) -> None:
    """By where the file lies."""
    code = compile("0", filename, "exec")
    assert call_site.owner(code) is owner


def test_an_application_in_site_packages_can_be_named() -> None:
    """`ASGISCOPE_APP_PATHS`."""
    code = compile("0", "/x/site-packages/ourshop/views.py", "exec")
    assert call_site.owner(code) is Owner.THIRD_PARTY
    call_site.configure("/x/site-packages/ourshop")
    try:
        assert call_site.owner(code) is Owner.APPLICATION
    finally:
        call_site.configure("")


def test_the_call_site_is_the_applications_innermost_line() -> None:
    """A library between it and the end of the stack does not hide it; alone it stands in for it."""
    app = call_site.Frame(compile("0", "/srv/shop/views.py", "exec"), 3)
    lib = call_site.Frame(compile("0", "/v/site-packages/requests/api.py", "exec"), 5)
    django = call_site.Frame(compile("0", "/v/site-packages/django/x.py", "exec"), 7)
    assert call_site.select_call_site([django, lib, app]) is app
    assert call_site.select_call_site([django, lib]) is lib
    assert call_site.select_call_site([django]) is None


def test_near_finds_this_line() -> None:
    """And gives up after as many frames as it is told."""
    frame = call_site.nearest_app_frame(sys._getframe())
    assert frame is not None
    assert call_site.site_of(frame).function == "test_near_finds_this_line"
    assert call_site.nearest_app_frame(sys._getframe(), depth=0) is None


def test_a_comprehension_belongs_to_its_function() -> None:
    """On every Python alike."""
    found = list(call_site.nearest_app_frame(sys._getframe()) for _ in range(1))  # noqa: C400 - a generator is the point
    assert found[0] is not None
    assert call_site.site_of(found[0]).function == "test_a_comprehension_belongs_to_its_function"


def test_definition_looks_through_decorators() -> None:
    """A partial of a function is that function."""
    import functools  # noqa: PLC0415

    site = call_site.definition(functools.partial(test_owner, "x"))
    assert site is not None
    assert site.function == "test_owner"
    assert call_site.definition(len) is None
