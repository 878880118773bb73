"""Channels' routers in one process: the route of a connection, faults inside, and no trace of us after."""

from channels.routing import ProtocolTypeRouter, URLRouter  # type: ignore[import-untyped] # has no types
from django.http import HttpResponse
from django.urls import path, re_path

from tests.instrumentation.processes import run

_ROUTED = """
from asgiscope.records.scope import current
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path, re_path

def route():
    scope = current.get()
    return scope.path_or_route if scope is not None else None

async def consumer(scope, receive, send):
    await sync_to_async(len)("abc")
    seen.append([route(), scope["url_route"]["kwargs"]])

async def middleware(scope, receive, send):
    seen.append(route())
    await routes(scope, receive, send)

rooms = URLRouter([path("<int:room>/", consumer), re_path(r"^all/$", consumer)])
routes = URLRouter([path("chat/", consumer), path("rooms/", rooms), path("either/", URLRouter([]))])
application = ProtocolTypeRouter({"websocket": middleware})
seen = []

async def connect(path, **scope):
    try:
        await application({"type": "websocket", "path": path, **scope}, None, None)
    except ValueError as error:
        seen.append(str(error))
"""


def test_the_pattern_that_matched_is_the_route() -> None:
    """Patterns of nested routers in a row; before the path is routed, the path; after the end, nothing."""
    answer = run(
        _ROUTED
        + """
async def main():
    await connect("/chat/")
    await connect("/rooms/12/")
    await connect("/rooms/all/")
    await connect("/under/chat/", root_path="/under")
    await connect("/nowhere/")
    return current.get()
assert asyncio.run(main()) is None
made = instrumentor.active()
rows = made.recorder.tallies.take()
print(json.dumps([seen, sorted(rows.bridges), list(rows.requests), dict(internal_errors.counts)]))
"""
    )
    seen, bridges, requests, counted = answer
    assert seen == [
        *("/chat/", ["/chat/", {}]),
        *("/rooms/12/", ["/rooms/<int:room>/", {"room": 12}]),
        *("/rooms/all/", ["/rooms/all/$", {}]),
        *("/under/chat/", ["/chat/", {}]),
        *("/nowhere/", "No route found for path 'nowhere/'."),
    ]
    routes = ("/chat/", "/rooms/<int:room>/", "/rooms/all/$")
    assert bridges == [["len", "shared", route] for route in routes]
    assert requests == []
    assert counted == {}


def test_a_failure_inside_never_reaches_a_consumer() -> None:
    """And patches come off, also those that were put on when Channels was imported."""
    answer = run(
        _ROUTED
        + """
from asgiscope.probes import channels
def broken(*args):
    raise ZeroDivisionError("made to fail")
channels._matching = broken
asyncio.run(connect("/chat/"))
asgiscope.uninstrument()
patched = [type(vars(router)["__call__"]).__name__ for router in (URLRouter, ProtocolTypeRouter)]
asyncio.run(connect("/chat/"))
print(json.dumps([seen, dict(internal_errors.counts), patched]))
"""
    )
    assert answer == [
        ["/chat/", ["/chat/", {}], None, [None, {}]],
        {"channels.route": 1},
        ["function", "function"],
    ]


def test_canary_of_the_routers() -> None:
    """Classes with `__call__`; patterns in `routes`, each with Django's `match`."""
    assert "__call__" in vars(ProtocolTypeRouter)
    assert "__call__" in vars(URLRouter)
    assert {"path_remaining", "root_path"} <= set(URLRouter.__call__.__code__.co_consts)
    router = URLRouter([path("chat/", HttpResponse), re_path(r"^echo/$", HttpResponse)])
    assert [bool(route.pattern.match("echo/")) for route in router.routes] == [False, True]
    assert [str(route.pattern) for route in router.routes] == ["chat/", "^echo/$"]
