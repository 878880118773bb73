"""What a package's middleware does on the loop is one finding, of the middleware and not of the view within it."""

from pathlib import Path

import pytest
from asgiscope import advice
from asgiscope.semconv import FindingKind, ObjectKind
from asgiscope.stack import call_site, declared

from tests.instrumentation.fake_frames import PACKAGES, stack
from tests.instrumentation.one_file_site import run_site

BAR = '''
import time

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.cache import cache
from django.template import engines


class Panel:
    """What a template of the bar reads."""

    def __init__(self, slow):
        self.slow = slow

    def title(self):
        if self.slow == "title":
            time.sleep(0.2)
        return "a title"

    def content(self):
        if self.slow == "content":
            cache.get("content")
        return "content"


class BarMiddleware:
    """Shows a bar on each page, as toolbars do."""

    async_capable = True
    sync_capable = True

    def __init__(self, get_response):
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request):
        response = await self.get_response(request)
        return self._postprocess(request, response)

    def _postprocess(self, request, response):
        slow = request.GET["slow"]
        if slow == "before":
            cache.get("before")
        bar = engines["django"].from_string("{% for one in panels %}{{ one.title }}{{ one.content }}{% endfor %}")
        response.content += bar.render({"panels": [Panel(slow)]}).encode()
        return response
'''
SITE = """
sys.path.insert(0, sys.argv[1] + "/site-packages")
async def page(request):
    return HttpResponse("page")

urlpatterns = [path("page/", page)]
ask("/page/?slow=nothing", "/page/?slow=title", "/page/?slow=content", "/page/?slow=before")
"""
SETTINGS = """{
    "MIDDLEWARE": ["devbar.BarMiddleware"], "CACHES": {"default": {"BACKEND": "devcache.Slow", "LOCATION": ""}}
}"""
CACHE = """
import time

from django.core.cache.backends.locmem import LocMemCache


class Slow(LocMemCache):
    def get(self, *args, **kwargs):
        time.sleep(0.2)
        return super().get(*args, **kwargs)
"""


def test_a_package_middleware_that_blocks_in_several_ways_is_one_finding(tmp_path: Path) -> None:
    """Its template, what the template calls back, its own lines: at the middleware, whichever of them is slow."""
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "devbar.py").write_text(BAR)
    (packages / "devcache.py").write_text(CACHE)
    site = run_site(tmp_path, SITE, settings=SETTINGS)
    stalls = [found for found in site.findings("loop_blocked") if found["asgiscope.blocked_ns"] > 150_000_000]
    assert len(stalls) == 3
    assert {found["code.function.name"] for found in stalls} == {"BarMiddleware.__call__"}
    assert {found["asgiscope.user_object"] for found in stalls} == {"devbar.BarMiddleware"}
    assert {found["asgiscope.user_object.kind"] for found in stalls} == {"package_middleware"}
    titles = {advice.advise(FindingKind.LOOP_BLOCKED, advice.seen(found)).title for found in stalls}
    assert titles == {"Configure the package's middleware, or leave it out"}


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the file of a package's middleware that the settings name."""
    file = f"{PACKAGES}/bar/middleware.py"
    about = declared.Declared(ObjectKind.PACKAGE_MIDDLEWARE, "bar.middleware.Bar", None)
    monkeypatch.setitem(declared._middleware, file, [("Bar", about)])
    return file


LAYER = (f"{PACKAGES}/django/core/handlers/exception.py", "convert_exception_to_response.<locals>.inner", 43)


def test_a_stack_of_the_view_is_not_of_the_middleware_around_it(known: str) -> None:
    """Django's wrapper around the view stands between them."""
    frames = call_site.stack(
        stack(
            (f"{PACKAGES}/shop/views.py", "page", 3),
            (f"{PACKAGES}/django/core/handlers/base.py", "BaseHandler._get_response_async", 255),
            LAYER,
            (known, "Bar.__acall__", 8),
            LAYER,
        )
    )
    assert declared.middleware_of(frames) is None
    site = declared.select_site(frames)
    assert site is not None
    assert call_site.site_of(site).function == "page"


def test_other_packages_that_a_middleware_uses_do_not_hide_it(known: str) -> None:
    """A parser that it calls is its own matter; a line of the application is not."""
    parser = (f"{PACKAGES}/sqlparse/lexer.py", "Lexer.get_tokens", 90)
    within = ((known, "Bar.render", 20), (known, "Bar.__acall__", 8), LAYER)
    site = declared.select_site(call_site.stack(stack(parser, *within)))
    assert site is not None
    assert call_site.site_of(site).function == "Bar.__acall__"
    site = declared.select_site(
        call_site.stack(stack(parser, ("/srv/shop/panels.py", "Own.title", 5), *within))
    )
    assert site is not None
    assert call_site.site_of(site).function == "Own.title"


def test_a_package_called_back_by_django_is_named_where_it_was_entered() -> None:
    """The tag of a package's template is part of the package's view."""
    view = (f"{PACKAGES}/pages/views.py", "serve", 12)
    frames = call_site.stack(
        stack(
            (f"{PACKAGES}/pages/tags.py", "image", 40),
            (f"{PACKAGES}/django/template/base.py", "Node.render_annotated", 1068),
            view,
            (f"{PACKAGES}/django/core/handlers/base.py", "BaseHandler._get_response_async", 255),
            LAYER,
        )
    )
    site = declared.select_site(frames)
    assert site is not None
    assert call_site.site_of(site).function == "serve"
