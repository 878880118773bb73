"""The site's own line, where a framework's code stands between it and what happens."""

from pathlib import Path

from tests.instrumentation.one_file_site import run_site

UPLOAD = """
from django.core.files.uploadedfile import SimpleUploadedFile

async def upload(request):
    return HttpResponse(request.FILES["scan"].name)

async def other(request):
    await asyncio.sleep(1)
    return HttpResponse()

urlpatterns = [path("upload/", upload), path("other/", other)]

async def main():
    client = AsyncClient()
    waiting = asyncio.ensure_future(client.get("/other/"))
    await asyncio.sleep(0.2)
    scan = SimpleUploadedFile("scan.bin", bytes(60_000_000))
    print((await client.post("/upload/", {"scan": scan})).content)
    await waiting

with record() as seen:
    asyncio.run(main())
    told(seen)
"""


def test_an_upload_on_the_loop_is_one_stall_at_the_views_line(tmp_path: Path) -> None:
    """However many chunks it is written in, and whoever waits meanwhile is its victim once."""
    site = run_site(tmp_path, UPLOAD)
    (stall,) = [
        each
        for each in site.findings("loop_blocked")
        if each.get("asgiscope.operation.kind") == "request_body"
    ]
    assert site.source(stall) == 'return HttpResponse(request.FILES["scan"].name)'
    assert stall["code.function.name"] == "upload"
    assert stall["asgiscope.finding.delayed"] == 1
    # A busy machine may keep the request from a processor before or after that.
    others = [each for each in site.findings("loop_blocked") if each is not stall]
    assert not [each for each in others if each["start"] < stall["end"] and stall["start"] < each["end"]]


def test_a_lazy_context_variable_is_named_when_asgiref_evaluates_it(tmp_path: Path) -> None:
    """It is compared when the context comes back from the thread, on the loop, where a query is refused."""
    site = run_site(
        tmp_path,
        """
        import contextvars
        from django.utils.functional import SimpleLazyObject

        current_user = contextvars.ContextVar("current_user")

        async def page(request):
            def remember():
                current_user.set(SimpleLazyObject(lambda: User.objects.first()))
            current_user.set("nobody")
            await sync_to_async(remember)()
            return HttpResponse()

        urlpatterns = [path("page/", page)]
        ask("/page/")
        """,
    )
    refusal = site.findings("refusal")[0]
    assert refusal["asgiscope.user_object.kind"] == "context_variable"
    assert refusal["asgiscope.user_object"] == "current_user"
    assert "context variable current_user (_restore_context)" in refusal["asgiscope.chain"]


def test_a_storm_that_only_a_package_makes_is_found_with_its_count(tmp_path: Path) -> None:
    """A package gathers two hundred calls: the view that called it is named, with the package's line beside it."""
    package = tmp_path / "site-packages" / "gatherer"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "import asyncio\n"
        "from asgiref.sync import sync_to_async\n"
        "async def _each(rows):\n"
        "    return await asyncio.gather(*(sync_to_async(len)('x') for row in rows))\n"
        "async def deep(rows, levels=12):\n"
        "    return await (deep(rows, levels - 1) if levels else _each(rows))\n"
        "async def in_a_task(rows):\n"
        "    return await asyncio.ensure_future(_each(rows))\n"
    )
    site = run_site(
        tmp_path,
        """
        sys.path.insert(0, sys.argv[1] + "/site-packages")
        import gatherer

        async def near(request):
            await gatherer.deep(range(200))
            return HttpResponse()

        async def task(request):
            await gatherer.in_a_task(range(200))
            return HttpResponse()

        urlpatterns = [path("near/", near), path("task/", task)]
        ask("/near/", "/task/")
        """,
    )
    storms = {each["http.route"]: each for each in site.findings("hop_storm")}
    assert {route: each["asgiscope.request.hops_at_site"] for route, each in storms.items()} == {
        "/near/": 200,
        "/task/": 200,
    }
    assert site.source(storms["/near/"]) == "await gatherer.deep(range(200))"
    assert "/gatherer/__init__.py:4" in storms["/near/"]["asgiscope.library_site"]
    assert storms["/task/"]["code.file.path"] == str(package / "__init__.py")
    assert storms["/task/"]["asgiscope.user_object"] == "__main__.task"
