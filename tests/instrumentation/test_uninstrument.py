"""`uninstrument()` leaves a process as it was: attributes, threads, handlers of signals, receivers, finders."""

from pathlib import Path

from tests.instrumentation.processes import run

_LOOK = """
import gc, logging, signal, sys, threading, types, wrapt
from asgiscope import patching
from django.dispatch import Signal

def ours(value):
    wrapper = getattr(value, "_self_wrapper", None) if isinstance(value, wrapt.FunctionWrapper) else None
    return (getattr(wrapper, "__module__", None) or "").startswith("asgiscope")

def wrapped():
    "Attributes of any class or module that hold a wrapper of ours."
    owners = [o for o in gc.get_objects() if isinstance(o, (type, types.ModuleType))]
    return sorted(f"{o.__name__}.{name}" for o in owners for name, value in list(vars(o).items()) if ours(value))

def state():
    gc.collect()
    return {
        "wrapped": wrapped(),
        "threads": sorted(t.name for t in threading.enumerate() if t.name.startswith("asgiscope")),
        "signals": {str(n): str(signal.getsignal(n)) for n in signal.valid_signals()},
        "receivers": sorted(len(s.receivers) for s in gc.get_objects() if isinstance(s, Signal) and s.receivers),
        # wrapt's own finder stays: it has no way back. It holds nothing of ours that still does anything.
        "finders": [str(type(f)) for f in sys.meta_path if not type(f).__module__.startswith("wrapt")],
        "filters": {n: len(logging.getLogger(n).filters) for n in list(logging.root.manager.loggerDict)},
        "environ": dict(os.environ),
        "excepthooks": [str(sys.excepthook), str(threading.excepthook), str(sys.unraisablehook)],
    }

async def serve():
    return [await ask(path) for path in ("/plain/", "/async-orm/", "/sync-view/", "/gathered/", "/parks/")]
"""


def test_nothing_is_left(database: Path) -> None:
    """After requests, compared attribute by attribute with what each patch found; and once more the second time."""
    found = run(
        _LOOK
        + """
places, put = {}, patching.Patches._put
def noted(self, owner, name, before, ours):
    places.setdefault((owner, name), before)
    return put(self, owner, name, before, ours)
patching.Patches._put = noted
asyncio.run(serve())  # what the first requests import and connect is not ours
before = state()
told = []
for _ in range(2):
    assert asgiscope.instrument()
    during = state()
    statuses = asyncio.run(serve())
    asgiscope.uninstrument()
    after = state()
    told.append({
        "statuses": statuses, "patched": len(places), "wrapped": len(during["wrapped"]),
        "changed": [key for key in before if before[key] != after[key]],
        "not restored": [f"{owner}.{name}" for (owner, name), value in places.items()
                         if vars(owner).get(name, patching._MISSING) is not value],
    })
    assert asyncio.run(serve()) == statuses
print(json.dumps([told, dict(internal_errors.counts)]))
""",
        bare=True,
        SITE_DB=str(database),
    )
    told, counted = found
    assert counted == {}
    for one in told:
        assert one["statuses"] == [200] * 5
        assert one["wrapped"] > 30
        assert one["patched"] >= one["wrapped"]
        assert one["changed"] == []
        assert one["not restored"] == []
