"""A thread whose coroutine died before it could answer stands for ever: that is named while it stands."""

from tests.instrumentation.processes import run

_LOST = """
import contextvars, time
from asgiscope.export.resolve.reports import ReportMaker
from asgiscope.export.spans import SpanMaker
from asgiscope.event_loop.ongoing import Report
from asgiscope.records.refusal import Refusal
from asgiscope.records.scope import Request, current

recorder = instrumentor.active().recorder
maker = ReportMaker(SpanMaker(recorder.config, lambda _request: None))
sent = []
recorder.outbox.put = lambda record: sent.append(record) or True
setting = contextvars.ContextVar("setting")

class Lazy:
    @property
    def __class__(self):
        raise LookupError("no such user")
    def __eq__(self, other):
        raise LookupError("no such user")
    __hash__ = None

async def work():
    pass

def view():
    setting.set(VALUE)
    async_to_sync(work)()

async def main():
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    made = Request(None, recorder.clock(), "GET", "/page/")
    made.template = "/page/"
    made.tags = recorder.tags()
    made.thread_id = made.tags.thread_id
    recorder.ledger.begin(made)
    current.set(made)
    asyncio.ensure_future(sync_to_async(view)())
    for _ in range(300):
        await asyncio.sleep(0.05)
        reports = [one for one in sent if isinstance(one, Report) and one.state == "abandoned"]
        refusals = [one for one in sent if isinstance(one, Refusal)]
        if reports and (refusals or not REFUSED):
            break
    told = [dict(maker.make(one).attributes) for one in (reports[0], *refusals)]
    print(json.dumps(told, default=str), flush=True)
    os._exit(0)

asyncio.run(main())
"""


def test_a_thread_whose_coroutine_died_is_a_finding_that_names_the_context_variable() -> None:
    """The variables that asgiref restores are read, and a lazy value raises: nobody wakes the thread any more."""
    (report,) = run(_LOST.replace("VALUE", "Lazy()").replace("REFUSED", "False"), ASGISCOPE_ONGOING_MS="200")
    assert report["asgiscope.finding"] == "parked_thread"
    assert report["asgiscope.ongoing.state"] == "abandoned"
    assert report["asgiscope.user_object.kind"] == "context_variable"
    assert report["asgiscope.user_object"] == "setting"
    assert report["exception.type"] == "builtins.LookupError"
    assert report["exception.message"] == "no such user"
    assert report["asgiscope.finding.delayed"] == 1


def test_the_refusal_that_ended_the_coroutine_was_not_caught() -> None:
    """A lazy user is loaded on the loop, where Django refuses the query: the request does not answer."""
    code = _LOST.replace("VALUE", "SimpleLazyObject(User.objects.first)").replace("REFUSED", "True")
    code = (
        "from django.contrib.auth.models import User; from django.utils.functional import SimpleLazyObject"
        + code
    )
    report, refusal = run(code, ASGISCOPE_ONGOING_MS="200")
    assert report["exception.type"] == refusal["exception.type"]
    assert report["asgiscope.user_object"] == refusal["asgiscope.user_object"] == "setting"
    assert refusal["asgiscope.refusal.caught"] is False
    assert refusal["asgiscope.finding.delayed"] == 1
