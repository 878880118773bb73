"""Summaries of findings in one sentence: what happens, how often, and who is affected."""

from typing import Final

from asgiscope.semconv import FindingKind

from asgiscope_collector.schemas import Outcome, Victims

_UNITS: Final = (
    (86_400_000_000_000, "d"),
    (3_600_000_000_000, "h"),
    (60_000_000_000, "min"),
    (1_000_000_000, "s"),
)
_MILLISECOND: Final = 1_000_000
_MICROSECOND: Final = 1_000
_TWO_DIGITS: Final = 10
_ROUTES_NAMED: Final = 2

_EXECUTORS: Final = {
    "shared": "asgiref's one shared thread",
    "request": "its request's thread",
    "context": "a thread of the application's own executor",
    "parent": "a thread parked in async_to_sync",
    "pool": "a worker of its pool",
}


def duration(nanoseconds: int) -> str:
    """Format a duration with two or three digits: `1.2 s`, `340 ms`, `2.5 h`."""
    for size, unit in _UNITS:
        if nanoseconds >= size:
            return f"{_digits(nanoseconds / size)} {unit}"
    if nanoseconds >= _MILLISECOND:
        return f"{_digits(nanoseconds / _MILLISECOND)} ms"
    return f"{_digits(nanoseconds / _MICROSECOND)} us" if nanoseconds else "0 ms"


def times(count: int) -> str:
    """Format a count: `once`, `14 times`."""
    return "once" if count == 1 else f"{count:,} times"


def affected_by(victims: Victims, others: str = "") -> str:
    """Return the affected work, as `3 other requests, 1 message and 2 tasks`; "" if there is none."""
    counts = ((victims.requests, f"{others}request"), (victims.messages, "message"), (victims.tasks, "task"))
    parts = [f"{count:,} {noun}{'' if count == 1 else 's'}" for count, noun in counts if count]
    return " and ".join([part for part in (", ".join(parts[:-1]), *parts[-1:]) if part])


def summary(
    *,
    kind: FindingKind,
    function: str,
    operation: str,
    executor: str,
    routes: list[str],
    count: int,
    total_ns: int,
    victims: Victims,
    ongoing: int,
    ongoing_ns: int,
    holder: str,
    chain: list[str],
    message: str = "",
    outcome: Outcome | None = None,
) -> str:
    """Return the summary of a finding in one sentence, and a second one for occurrences that have not ended.

    `message` is asgiref's own, which names the broken rule; Django has only one rule.
    """
    who = f"`{function}`" if function else "Code that could not be named"
    length, often, where = duration(total_ns), times(count), _where(routes)
    thread = _EXECUTORS.get(executor, "one thread")
    what = f" ({operation})" if operation and operation != function else ""
    match kind:
        case FindingKind.LOOP_BLOCKED:
            text = f"{who} blocked the event loop for {length} in all, {often}{where}{what}"
            effect = "delayed"
        case FindingKind.CONTENTION:
            held = f" while `{holder}` held it most" if holder else ""
            text = f"{who} waited {length} in all, {often}, for {thread}{held}{where}{what}"
            effect = "waited"
        case FindingKind.POOL_STARVATION:
            held = f", mostly `{holder}`" if holder else ""
            text = f"{who} waited {length} in all, {often}, for a worker of its pool{held}{where}{what}"
            effect = "waited"
        case FindingKind.REFUSAL:
            led = f" ({' > '.join(chain)})" if chain else what
            text = f"{who} was refused {often}{where}: {message or _UNSAFE}{led}"
            if outcome is not None and outcome.caught and not victims.requests:
                answered = f": its request answered {outcome.status}" if outcome.status else ""
                text += f"; the error was caught{answered}"
            effect = "failed"
        case FindingKind.SYNC_MIDDLEWARE:
            named = f"`{operation}`" if operation else who
            text = (
                f"The sync-only middleware {named} made requests cross to a thread {often}{where}: {length}"
            )
            effect = "waited"
        case FindingKind.PARKED_THREAD | FindingKind.DEADLOCK:
            text = f"{who} {_STOOD[kind]} {length} in all, {often}{where}{what}"
            effect = "waited"
        case _:
            text = _OTHERS[kind].format(who=who, length=length, often=often, where=where, count=count)
            effect = "waited"
    if not count and ongoing:
        lasts = f" for {duration(ongoing_ns)} so far" if ongoing_ns else ""
        return f"{_ONGOING[kind].format(who=who, thread=thread)}{lasts}{where}{what}, and has not ended."
    # A stall affects other requests; elsewhere the affected request is the waiting one.
    others = "other " if kind == FindingKind.LOOP_BLOCKED else ""
    affected = affected_by(victims, others)
    if affected:
        text += f"; {affected} {effect}"
    more = f" {ongoing:,} more {'has' if ongoing == 1 else 'have'} not ended." if ongoing else ""
    return f"{text}.{more}"


_UNSAFE: Final = "synchronous work in async code"
_STOOD: Final = {
    FindingKind.PARKED_THREAD: "parked a thread in async_to_sync at a cost of",
    FindingKind.DEADLOCK: "was part of a deadlock for",
}
_OTHERS: Final = {
    FindingKind.HOP_STORM: (
        "{who} crossed between loop and threads many times a request, in {count:,} requests{where}, "
        "for {length} in all"
    ),
    FindingKind.STREAM_READ_WHOLE: (
        "{who} streamed a synchronous iterator, {often}{where}: Django read it whole before it sent anything, for "
        "{length} in all"
    ),
    FindingKind.CONNECTION_WAIT: "{who} waited {length} in all, {often}{where}, for a connection of Django's pool",
    FindingKind.CONNECTION_LEFT: "{who} left a database connection open in a thread that has ended, {often}{where}",
    FindingKind.CONNECTION_IDLE: (
        "{who} left a database connection open in a worker of a thread pool that has nothing to do, {often}{where}"
    ),
    FindingKind.SESSION_SAVED: (
        "{who} saved the session on requests that only read, {often}{where}, for {length} in all"
    ),
}
_ONGOING: Final = {
    FindingKind.LOOP_BLOCKED: "{who} blocks the event loop",
    FindingKind.CONTENTION: "{who} waits for {thread}",
    FindingKind.POOL_STARVATION: "{who} waits for a thread pool with every worker busy",
    FindingKind.REFUSAL: "{who} is refused",
    FindingKind.SYNC_MIDDLEWARE: "{who} sends a request through a thread",
    FindingKind.PARKED_THREAD: "{who} keeps a thread parked in async_to_sync",
    FindingKind.DEADLOCK: "{who} waits in a deadlock for {thread}",
    FindingKind.HOP_STORM: "{who} keeps crossing between loop and threads",
    FindingKind.STREAM_READ_WHOLE: "{who} streams a synchronous iterator",
    FindingKind.CONNECTION_WAIT: "{who} waits for a connection of Django's pool",
    FindingKind.CONNECTION_LEFT: "{who} left a database connection open",
    FindingKind.CONNECTION_IDLE: "{who} left a database connection open in an idle worker",
    FindingKind.SESSION_SAVED: "{who} keeps saving the session",
}


def _where(routes: list[str]) -> str:
    named = [route for route in routes if route]
    if not named:
        return ""
    more = len(named) - _ROUTES_NAMED
    return f" on {', '.join(named[:_ROUTES_NAMED])}" + (f" and {more} more" if more > 0 else "")


def _digits(value: float) -> str:
    if value >= _TWO_DIGITS:
        return f"{value:.0f}"
    return f"{value:.1f}".removesuffix(".0")
