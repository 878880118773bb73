"""Back ends whose methods are coroutine functions: their await is timed, and they are not blamed for blocking."""

from tests.instrumentation.processes import run

_BACK_ENDS = """
import asyncio, inspect, sys, types, warnings
from django.core.cache.backends.locmem import LocMemCache
from django.core.files.storage import FileSystemStorage
from django.core.mail.backends.base import BaseEmailBackend
from django.core.cache import CacheHandler
from django.core.files.storage.handler import StorageHandler

class AsyncCache(LocMemCache):
    async def set(self, key, value):
        await asyncio.sleep(0.05)
        super().set(key, value)
        return "stored"
    async def get(self, key):
        raise KeyError(key)
class AsyncStorage(FileSystemStorage):
    async def exists(self, name):
        await asyncio.sleep(0.05)
        return True
class AsyncMail(BaseEmailBackend):
    async def send_messages(self, messages):
        await asyncio.sleep(0.05)
        return len(messages)
module = types.ModuleType("back_ends")
module.__dict__.update(AsyncCache=AsyncCache, AsyncStorage=AsyncStorage)
sys.modules["back_ends"] = module
AsyncCache.__module__ = AsyncStorage.__module__ = "back_ends"
cache = CacheHandler({"default": {"BACKEND": "back_ends.AsyncCache"}})["default"]
storage = StorageHandler({"default": {"BACKEND": "back_ends.AsyncStorage"}})["default"]
made = instrumentor.active()
sent = []
class Kept:
    def put(self, scope):
        sent.append(scope)
        return True
made.recorder.outbox = Kept()
"""


def test_the_await_of_a_coroutine_method_is_the_operation() -> None:
    """Its length is the await's; it answers and raises what it would, and no stall is made of it."""
    answer = run(
        _BACK_ENDS
        + """
async def main():
    answers = [
        await cache.set("a", 1), await storage.exists("x"), await AsyncMail().send_messages(["one", "two"])
    ]
    try:
        await cache.get("b")
    except KeyError as error:
        answers.append(str(error))
    answers.append(made.recorder.threads.here.blocking)
    return answers
answers = asyncio.run(main())
work = [s for s in sent if type(s).__name__ == "Operation"]
print(json.dumps([
    answers,
    [[s.name, (s.ended - s.started) / 1e6, s.attributes.get("error")] for s in work],
    [type(s).__name__ for s in sent if s not in work],
]))
""",
        OTEL_TRACES_SAMPLER="always_on",
    )
    answers, work, others = answer
    assert answers == ["stored", True, 2, "'b'", 0]
    assert [(name, error) for name, _, error in work] == [
        ("cache set", None),
        ("file exists", None),
        ("mail send", None),
        ("cache get", "KeyError"),
    ]
    assert all(length >= 49 for _, length, _ in work[:3])
    assert others == []


def test_a_coroutine_of_an_unsampled_trace_is_left_as_it_is() -> None:
    """The very object that the method returned; in a sampled one, a coroutine of the same name."""
    answer = run(
        _BACK_ENDS
        + """
names = []
async def main(sampled):
    made.recorder.sample = lambda scope: sampled
    coroutine = cache.set("a", 1)
    names.append([coroutine.__qualname__, inspect.iscoroutine(coroutine), coroutine.cr_code.co_name])
    await coroutine
asyncio.run(main(False))
unsampled = len(sent)
asyncio.run(main(True))
print(json.dumps([names, unsampled]))
"""
    )
    (left, timed), unsampled = answer
    assert left == ["AsyncCache.set", True, "set"]
    assert timed == ["AsyncCache.set", True, "awaited"]
    assert unsampled == 0
