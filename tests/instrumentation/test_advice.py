"""The table of advice: complete, chosen by what was seen, and safe to follow."""

from textwrap import indent

import pytest
from asgiscope.advice import TABLE, Advice, Seen, advise, seen
from asgiscope.semconv import (
    EXECUTOR_ROLE,
    OPERATION_KIND,
    FindingKind,
    ObjectKind,
    OperationKind,
    RefusalKind,
    ThreadRole,
)

DOCUMENTED_AT = (
    "https://docs.djangoproject.com/",
    "https://docs.python.org/3/",
    "https://channels.readthedocs.io/",
    "https://strawberry.rocks/docs/django/",
)
EVERY: list[Advice] = [row.advice for rows in TABLE.values() for row in rows]


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (OperationKind.QUERY, "aget"),
        (OperationKind.RELATED_OBJECT, "select_related"),
        (OperationKind.SESSION, "request.session.aget"),
        (OperationKind.CACHE, "cache.aget"),
        (OperationKind.TEMPLATE, "render("),
        (OperationKind.SIGNAL, "asend("),
        (OperationKind.SERIALIZER, "Serializer("),
        (OperationKind.PASSWORD_HASH, "sync_to_async(authenticate)"),
        (OperationKind.FILE, "read_bytes"),
        (OperationKind.REQUEST_BODY, "request.FILES"),
        (OperationKind.MAIL, "send_mail"),
        (OperationKind.HTTP_CLIENT, "client.get"),
        (OperationKind.NETWORK, "asyncio.to_thread"),
        (OperationKind.SLEEP, "asyncio.sleep"),
        (OperationKind.SUBPROCESS, "create_subprocess_exec"),
        (OperationKind.THREAD_WAIT, "wrap_future"),
        (OperationKind.CANCELLED_REQUEST, "timeout="),
        (OperationKind.CPU, "asyncio.to_thread"),
    ],
)
def test_each_operation_on_the_loop_has_its_own_form(operation: OperationKind, code: str) -> None:
    """The sketch is of that operation's asynchronous form."""
    assert code in advise(FindingKind.LOOP_BLOCKED, Seen(operation=operation)).code


def test_an_import_on_the_loop_is_advised_to_happen_at_start_up() -> None:
    """Not to be awaited, and no other client to be used."""
    assert advise(FindingKind.LOOP_BLOCKED, Seen(operation="import")).title == "Import it at start-up"


def test_every_operation_that_blocks_is_in_the_table() -> None:
    """Only code that computes gets the general text."""
    general = advise(FindingKind.LOOP_BLOCKED)
    same = {
        kind for kind in OperationKind if advise(FindingKind.LOOP_BLOCKED, Seen(operation=kind)) == general
    }
    assert same == {OperationKind.CPU}


def test_each_refusal_has_its_own_advice() -> None:
    """Django's by the operation that was refused, asgiref's by its rule."""
    ours = {kind: advise(FindingKind.REFUSAL, Seen(refusal=kind)).title for kind in RefusalKind}
    assert len(set(ours.values())) == len(RefusalKind)
    session = Seen(operation=OperationKind.SESSION, refusal=RefusalKind.ASYNC_UNSAFE)
    assert "session" in advise(FindingKind.REFUSAL, session).title
    assert "database" in advise(FindingKind.REFUSAL, Seen(refusal=RefusalKind.ASYNC_UNSAFE)).title


def test_contention_between_consumers_is_advised_for_consumers() -> None:
    """Only on the shared thread: a consumer with a thread of its own waits for its own calls."""
    shared = Seen(executor=ThreadRole.SHARED, user_object=ObjectKind.CONSUMER)
    assert "AsyncConsumer" in advise(FindingKind.CONTENTION, shared).title
    own = Seen(executor=ThreadRole.REQUEST, user_object=ObjectKind.CONSUMER)
    assert advise(FindingKind.CONTENTION, own) == advise(FindingKind.CONTENTION)


@pytest.mark.parametrize("kind", list(FindingKind))
def test_every_kind_has_a_text_whatever_was_seen(kind: FindingKind) -> None:
    """Values that this version does not know are no error: the general text applies."""
    assert TABLE[kind][-1].seen == Seen()
    assert advise(kind, Seen("of a later version", "unknown", "other", "unheard")) == TABLE[kind][-1].advice


def test_what_was_seen_is_read_from_the_attributes_of_a_span() -> None:
    """Missing attributes are empty fields."""
    attributes = {OPERATION_KIND: OperationKind.CACHE, EXECUTOR_ROLE: ThreadRole.POOL, "other": "x"}
    assert seen(attributes) == Seen(operation="cache", executor="pool")
    assert seen({}) == Seen()


def test_every_sketch_is_python() -> None:
    """Each compiles, as the body of an async function."""
    sketches = {advice.code for advice in EVERY} - {""}
    assert len(sketches) > 20
    for sketch in sketches:
        compile(f"async def sketch():\n{indent(sketch, '    ')}\n", "a sketch of advice", "exec")


@pytest.mark.parametrize("advice", EVERY, ids=lambda advice: advice.title)
def test_no_advice_breaks_thread_safety(advice: Advice) -> None:
    """Never to allow unsafe calls; `thread_sensitive=False` only for what touches neither ORM nor request."""
    assert "thread_sensitive=False" not in advice.code
    for text in (advice.title, advice.reason, *advice.steps, advice.brief):
        assert "DJANGO_ALLOW_ASYNC_UNSAFE" not in text or text.startswith("Do not set")
        assert "thread_sensitive=False" not in text or "neither the ORM" in text


@pytest.mark.parametrize("advice", EVERY, ids=lambda advice: advice.title)
def test_advice_is_short_sentences_and_a_link_to_documentation(advice: Advice) -> None:
    """The reason and the steps end with a full stop; the line for a failed test begins with the title."""
    assert advice.link.startswith(DOCUMENTED_AT)
    assert not advice.title.endswith(".")
    assert not advice.brief.endswith(".")
    assert all(text.endswith((".", ".)")) for text in (advice.reason, *advice.steps))
    assert advice.line.startswith(advice.title)
    assert advice.line.endswith(".")
