"""Who waits for a thread is told the query on which the holder spends its time, without its parameters."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from asgiscope import semconv as sc
from asgiscope.config import Config
from asgiscope.contention.queue import Call
from asgiscope.export.encode import SpanData
from asgiscope.export.spans import SpanMaker
from asgiscope.probes.django_core.orm import Statements
from asgiscope.records.scope import Operation, Scope, current

from tests.instrumentation.watched_loop import MS, Scene

SLOW = "SELECT name FROM shop_book WHERE id = 4711 AND price < %s"
MASKED = "SELECT name FROM shop_book WHERE id = ? AND price < %s"
QUICK = "SELECT 1 FROM shop_author"


class World(Scene):
    """A holder that runs on a thread, and a database whose statements take as long as the test says."""

    def __init__(self, *, sampled: bool) -> None:
        super().__init__()
        self.sampled = sampled
        self.queue = self.ledger.queue(self, "shared", 1)
        self.holder, self.waiter = self.call(), self.call()
        self.queue.submit(self.holder, self.now)
        self.queue.start(self.holder, self.now)
        self.seen: SpanData | None = None
        connections = cast("Any", SimpleNamespace(age_ns=lambda _db: 0))
        self.statement = Statements(self.recorder, connections, "execute").around(self.run, [None])

    def call(self) -> Call:
        """A bridge call."""
        call = Call(None, self.now, "sync_to_async", len)
        call.sampled = self.sampled
        return call

    def run(
        self, _cursor: Any, _statement: str, milliseconds: tuple[int, ...], *, look: bool = False
    ) -> None:
        """What the database does: `look` reports the waiter meanwhile."""
        self.now += milliseconds[0] * MS
        if look:
            self.seen = self.told(ongoing=True)

    def execute(self, statement: str, ms: int, within: Scope | None = None, **options: Any) -> None:
        """Execute a statement in the holder's function."""
        database = SimpleNamespace(vendor="sqlite", alias="default", in_atomic_block=False)
        token = current.set(within or self.holder)
        try:
            self.statement(SimpleNamespace(db=database, rowcount=1), statement, (ms,), **options)
        finally:
            current.reset(token)

    def wait(self) -> None:
        """Submit the waiter."""
        self.queue.submit(self.waiter, self.now)

    def told(self, *, ongoing: bool = False) -> SpanData:
        """The waiter's span: its wait ends now."""
        if ongoing:
            self.queue.withdraw(self.waiter, self.now)
        else:
            self.queue.end(self.holder, self.now)
            self.queue.start(self.waiter, self.now)
            self.queue.end(self.waiter, self.now)
        self.waiter.ended = self.now
        return SpanMaker(Config(), lambda _request: None).make(self.waiter)


def query_of(span: SpanData) -> Any:
    """The query of the finding, and of its holder."""
    (link,) = span.links
    assert link.attributes.get(sc.LINK_QUERY, "") == span.attributes[sc.HOLDER_QUERY]
    return span.attributes[sc.HOLDER_QUERY]


@pytest.fixture(params=[True, False], ids=["sampled", "not sampled"])
def world(request: pytest.FixtureRequest) -> World:
    """One whose trace is sampled, and one whose trace is not."""
    return World(sampled=request.param)


def test_a_wait_names_the_query_that_took_most_of_it(world: World) -> None:
    """The longest of several, without its literals."""
    world.wait()
    world.execute(QUICK, 5)
    world.execute(SLOW, 200)
    world.execute(QUICK, 10)
    span = world.told()
    assert span.attributes[sc.FINDING] == "contention"
    assert query_of(span) == MASKED
    assert "4711" not in str(span)


def test_a_wait_behind_code_or_many_queries_names_none(world: World) -> None:
    """No single query is to blame."""
    world.wait()
    for _ in range(5):
        world.execute(SLOW, 20)
    world.now += 50 * MS
    assert query_of(world.told()) == ""


def test_a_query_within_an_operation_of_the_holder_is_its_query(world: World) -> None:
    """A template that is rendered, a session that is loaded."""
    world.wait()
    rendering = Operation(world.holder, world.now, "template", "template")
    world.execute(SLOW, 200, within=rendering)
    assert query_of(world.told()) == MASKED


def test_a_query_that_goes_on_is_named_while_it_lasts(world: World) -> None:
    """The wait is reported before it ends."""
    world.wait()
    world.execute(SLOW, 900, look=True)
    assert world.seen is not None
    assert query_of(world.seen) == MASKED
    assert world.holder.query is None


def test_a_query_before_anybody_waited_is_not_remembered(world: World) -> None:
    """It has held nobody up."""
    world.execute(SLOW, 900)
    world.wait()
    world.now += 100 * MS
    assert world.holder.longest_query is None
    assert query_of(world.told()) == ""


def test_a_statement_outside_of_any_call_names_nobody(world: World) -> None:
    """Or in one that has ended: a task it has left behind."""
    world.wait()
    other = world.call()
    world.execute(SLOW, 200, within=other)
    assert (other.query, other.longest_query) == (None, None)
