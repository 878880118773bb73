"""What became of a refusal: whether something caught it, what its request answered, and which rule was broken."""

from pathlib import Path

from tests.instrumentation.one_file_site import run_site


def test_a_refusal_that_was_caught_failed_no_request(tmp_path: Path) -> None:
    """One view catches it, one does not, one fails for another reason after it has caught it."""
    site = run_site(
        tmp_path,
        """
        async def caught(request):
            try:
                return HttpResponse(str(User.objects.count()))
            except SynchronousOnlyOperation:
                return HttpResponse("nobody")

        async def fails(request):
            return HttpResponse(str(User.objects.count()))

        async def fails_later(request):
            try:
                User.objects.count()
            except SynchronousOnlyOperation:
                pass
            return HttpResponse(1 / 0)

        async def wraps(request):
            try:
                return HttpResponse(str(User.objects.count()))
            except SynchronousOnlyOperation as error:
                raise LookupError("no users") from error

        urlpatterns = [path(f"{view.__name__}/", view) for view in (caught, fails, fails_later, wraps)]
        ask("/caught/", "/fails/", "/fails_later/", "/wraps/")
        """,
    )
    outcomes = {
        span["http.route"]: (
            span["asgiscope.refusal.caught"],
            span["asgiscope.refusal.status"],
            span["asgiscope.finding.victims"],
        )
        for span in site.findings("refusal")
    }
    assert outcomes == {
        "/caught/": (True, 200, 0),
        "/fails/": (False, 500, 1),
        "/fails_later/": (True, 500, 0),
        "/wraps/": (False, 500, 1),
    }


def test_a_refusal_outside_a_request_says_nothing_of_one(tmp_path: Path) -> None:
    """There is no answer to wait for."""
    site = run_site(
        tmp_path,
        """
        async def main():
            try:
                User.objects.count()
            except SynchronousOnlyOperation:
                pass
        with record() as seen:
            asyncio.run(main())
            told(seen)
        """,
    )
    (refusal,) = site.findings("refusal")
    assert "asgiscope.refusal.caught" not in refusal
    assert "asgiscope.refusal.status" not in refusal
    assert refusal["asgiscope.finding.victims"] == 0


def test_each_of_asgirefs_refusals_is_told_by_its_rule_with_what_led_there(tmp_path: Path) -> None:
    """The message is asgiref's own; the chain goes on where a thread waits for the coroutine."""
    site = run_site(
        tmp_path,
        """
        from asgiref.sync import ThreadSensitiveContext
        from django.db.models.signals import post_save

        def on_loop(request):
            async def inner():
                return async_to_sync(asyncio.sleep)(0)
            return asyncio.run(inner())

        def welcome(sender, **kwargs):
            async def greet():
                return await sync_to_async(User.objects.count)()
            asyncio.run_coroutine_threadsafe(greet(), loop).result(5)

        def save():
            User.objects.create(username="ann")

        async def outlives():
            await asyncio.sleep(0.2)
            await sync_to_async(User.objects.count)()

        def start():
            async def begin():
                tasks.append(asyncio.ensure_future(outlives()))
            async_to_sync(begin)()

        tasks = []
        call_command("migrate", verbosity=0)
        post_save.connect(welcome, sender=User)

        async def attempt(call):
            try:
                await call
            except RuntimeError as error:
                print(error)

        async def main():
            global loop
            loop = asyncio.get_running_loop()
            async def in_loop():
                async_to_sync(asyncio.sleep)(0)
            await attempt(in_loop())
            await attempt(sync_to_async(save)())
            await asyncio.create_task(attempt(sync_to_async(start)()))
            for task in tasks:
                await attempt(task)

        with record() as seen:
            asyncio.run(main())
            told(seen)
        """,
    )
    refusals = {span["asgiscope.refusal.kind"]: span for span in site.findings("refusal")}
    assert set(refusals) == {"loop_in_thread", "would_deadlock", "executor_gone"}, site.output
    deadlock = refusals["would_deadlock"]
    assert deadlock["exception.message"] == "Single thread executor already being used, would deadlock"
    assert site.source(deadlock) == "return await sync_to_async(User.objects.count)()"
    assert list(deadlock["asgiscope.chain"]) == [
        "view save",
        "signal post_save",
        "receiver welcome",
        "run_coroutine_threadsafe",
        "sync_to_async QuerySet.count",
    ]
    gone = refusals["executor_gone"]
    assert gone["exception.message"] == "CurrentThreadExecutor already quit or is broken"
    assert gone["asgiscope.chain"][0] == "task outlives"
    assert site.source(gone) == "await sync_to_async(User.objects.count)()"
    assert site.source(refusals["loop_in_thread"]) == "async_to_sync(asyncio.sleep)(0)"
