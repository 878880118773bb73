"""What a finding delayed: each request, message and task once, and each instant of it once.

Every span of a finding has what it *adds* to the finding: requests, messages and tasks that no earlier span
had among its victims, and time that no earlier span had reported. So the values can be summed. What has been
reported of a unit of work is kept on its record; only the sending thread reads and writes it.

Overhead model: on the sending thread, a dictionary look-up and a union of intervals per victim. Known
limitation: of one request `MAX_ACCOUNTS` findings are distinguished; further ones are counted only in the
sums of their kinds.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from asgiscope import semconv as sc
from asgiscope.contention.queue import Call
from asgiscope.intervals import IntervalSet
from asgiscope.records.scope import Request, Scope, Unit

MAX_ACCOUNTS: Final = 64
REQUEST: Final = sc.UnitKind.REQUEST
Key = tuple[str, ...]
FINDING_ATTRIBUTES: Final = (
    sc.FINDING,
    sc.FINDING_COST_NS,
    sc.FINDING_VICTIMS,
    sc.FINDING_VICTIMS_NS,
    sc.FINDING_VICTIMS_UNKNOWN,
    sc.FINDING_MESSAGES,
    sc.FINDING_TASKS,
    sc.FINDING_BACKGROUND_NS,
    sc.FINDING_DELAYED,
    sc.KIND_VICTIMS,
    sc.KIND_VICTIMS_NS,
)


class Loss(NamedTuple):
    """A unit of work that was delayed, and the intervals that it lost; () if it lost no time."""

    unit: Unit
    stretches: Sequence[tuple[int, int]] = ()


class Found(NamedTuple):
    """What a span is evidence of."""

    kind: str
    cost_ns: int
    losses: Sequence[Loss] = ()
    unknown: int = 0
    """Number of requests that may have been delayed; the kernel does not say."""


class Added(NamedTuple):
    """What a loss adds to the finding."""

    is_new: bool
    lost_ns: int


NOTHING_ADDED: Final = Added(is_new=False, lost_ns=0)


def unit_of(scope: Scope | None) -> Unit | None:
    """Return the request, message or background task that a record belongs to, None if unknown."""
    if scope is not None and scope.request is not None:
        return scope.request
    while scope is not None:
        if isinstance(scope, Call) and scope.unit is not None:
            return scope.unit
        scope = scope.parent
    return None


def losses_of(unit: Unit | None, *stretches: tuple[int, int]) -> list[Loss]:
    """Return a finding's own unit of work as its one victim; [] without one."""
    return [Loss(unit, stretches)] if unit is not None else []


def overhead_of(request: Request, call: Call, waited_ns: int) -> int:
    """Return the part of a hop's wait and resume delay in which no earlier hop of its request waited too, in ns.

    Most hops are made one after another: then it is all of it, and no union is needed.
    """
    start, until = call.started, call.waited_until
    returned = call.run_ended or until
    end = returned + call.resume_ns
    alone = start >= request.hops_until
    last, request.hops_until = request.hops_until, max(end, request.hops_until)
    if alone and not 0 < request.ended < end:
        request.last_hop, request.hop_waits = (start, until, returned, end), None
        return waited_ns
    union = request.hop_waits
    if union is None:
        request.hop_waits = union = IntervalSet()
        before, began, ran, resumed = request.last_hop or (last, last, last, last)
        union.add(0, before)  # all earlier hops had ended
        union.add(before, began)
        union.add(ran, resumed)
    bound = request.ended or end
    return union.add(start, min(until, bound)) + union.add(returned, min(end, bound))


def describe(found: Found, site: Key, *, keep: bool) -> tuple[dict[str, Any], list[Added]]:
    """Return the attributes of a finding at a call site, and what each of its losses adds to it.

    Without `keep` nothing is recorded: a report on unfinished work has what it would add if it ended now.
    """
    of_kind = [_add(loss, (found.kind,), keep=keep) for loss in found.losses]
    added = [_add(loss, (found.kind, *site), keep=keep) for loss in found.losses]
    units = [loss.unit.unit for loss in found.losses]
    of_requests = [one for one, unit in zip(added, units, strict=True) if unit is REQUEST]
    kind_of_requests = [one for one, unit in zip(of_kind, units, strict=True) if unit is REQUEST]
    attributes: dict[str, Any] = {
        sc.FINDING: str(found.kind),
        sc.FINDING_COST_NS: found.cost_ns,
        sc.FINDING_VICTIMS: sum(one.is_new for one in of_requests),
        sc.FINDING_VICTIMS_NS: sum(one.lost_ns for one in of_requests),
        sc.KIND_VICTIMS: sum(one.is_new for one in kind_of_requests),
        sc.KIND_VICTIMS_NS: sum(one.lost_ns for one in kind_of_requests),
        sc.FINDING_DELAYED: len({id(loss.unit) for loss in found.losses if loss.unit.unit is REQUEST}),
    }
    if len(of_requests) < len(added):
        for name, kind in ((sc.FINDING_MESSAGES, sc.UnitKind.MESSAGE), (sc.FINDING_TASKS, sc.UnitKind.TASK)):
            attributes[name] = sum(one.is_new for one, unit in zip(added, units, strict=True) if unit is kind)
        lost = sum(one.lost_ns for one in added) - sum(one.lost_ns for one in of_requests)
        attributes[sc.FINDING_BACKGROUND_NS] = lost
    if found.unknown:
        attributes[sc.FINDING_VICTIMS_UNKNOWN] = found.unknown
    return attributes, added


def _add(loss: Loss, key: Key, *, keep: bool) -> Added:
    unit = loss.unit
    accounts = unit.losses
    if accounts is None:
        accounts = {}
        if keep:
            unit.losses = accounts
    known = accounts.get(key)
    if known is None and len(key) > 1 and len(accounts) >= MAX_ACCOUNTS:
        return NOTHING_ADDED
    account = IntervalSet() if known is None else known if keep else known.copy()
    if keep and known is None:
        accounts[key] = account
    since, until = unit.since, unit.until
    lost = 0
    for start, end in loss.stretches:
        lost += account.add(max(start, since), min(end, until) if until else end)
    return Added(known is None, lost)
