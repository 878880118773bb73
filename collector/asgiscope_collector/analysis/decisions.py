"""What people decided about findings: rows that are only ever added, so that who decided what stays known."""

from typing import Any, Final

from asgiscope_collector.analysis.times import rfc3339
from asgiscope_collector.engine.client import Engine
from asgiscope_collector.models import Decide, Decision, FindingState, State

_SHOWN: Final = 50

_KNOWN: Final = """
SELECT count() AS known FROM (SELECT 1 FROM asgiscope_findings WHERE FindingId = {id:String} LIMIT 1)
"""

_INSERT: Final = """
INSERT INTO asgiscope_decisions (FindingId, DecidedAt, State, Reason, DecidedBy)
SELECT {id:String}, fromUnixTimestamp64Nano({at:Int64}), {state:String}, {reason:String}, {by:String}
"""

_HISTORY: Final = """
SELECT State AS state, Reason AS reason, DecidedBy AS by, toUnixTimestamp64Nano(DecidedAt) AS at
FROM asgiscope_decisions
WHERE FindingId = {id:String}
ORDER BY DecidedAt DESC
LIMIT {limit:UInt32}
"""


class UndecidableError(ValueError):
    """A decision that cannot be taken; the message says what to send instead."""


def decide(engine: Engine, finding_id: str, decision: Decide, by: str, now_ns: int) -> FindingState | None:
    """Record a decision, and give the state that it makes; None if no such finding is stored.

    Raises:
        UndecidableError: nobody can decide that, or it needs a reason.
    """
    reason = decision.reason.strip()
    if decision.state == State.REGRESSED:
        raise UndecidableError("a finding regresses by itself: send open, resolved or ignored")
    if decision.state == State.IGNORED and not reason:
        raise UndecidableError("to ignore a finding takes a reason: send one, for those who come after")
    if not engine.rows(_KNOWN, {"id": finding_id})[0]["known"]:
        return None
    parameters: dict[str, Any] = {
        "id": finding_id,
        "at": now_ns,
        "state": decision.state.value,
        "reason": reason,
        "by": by,
    }
    engine.execute(_INSERT, parameters)
    return FindingState(state=decision.state, reason=reason, by=by, at=rfc3339(now_ns))


def history(engine: Engine, finding_id: str) -> list[Decision]:
    """The newest decisions about a finding, newest first."""
    return [
        Decision(state=row["state"], reason=row["reason"], by=row["by"], at=rfc3339(row["at"]))
        for row in engine.rows(_HISTORY, {"id": finding_id, "limit": _SHOWN})
    ]
