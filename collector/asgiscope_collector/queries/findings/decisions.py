"""Users' decisions about findings: append-only rows, so that the history of decisions is kept."""

from dataclasses import dataclass
from typing import Any, Final

from asgiscope_collector.queries.common.times import rfc3339
from asgiscope_collector.schemas import Decide, Decision, FindingState, State
from asgiscope_collector.store.client import Engine

_SHOWN: Final = 50

_KNOWN: Final = """
SELECT count() AS known FROM (SELECT 1 FROM asgiscope_findings WHERE FindingId = {id:String} LIMIT 1)
"""

_INSERT: Final = """
INSERT INTO asgiscope_decisions (FindingId, DecidedAt, State, Reason, DecidedBy)
SELECT {id:String}, fromUnixTimestamp64Nano({at:Int64}), {state:String}, {reason:String}, {by:String}
"""

_NEWEST: Final = """
SELECT
    FindingId AS id, toUnixTimestamp64Nano(max(DecidedAt)) AS at_ns,
    argMax((State, Reason, DecidedBy), DecidedAt) AS decided
FROM asgiscope_decisions
GROUP BY FindingId
"""

_SEEN: Final = """
SELECT FindingId AS id, toUnixTimestamp64Nano(max(LastCorrected)) AS seen_ns
FROM asgiscope_finding_days
WHERE FindingId IN {ids:Array(String)}
GROUP BY FindingId
"""

_HISTORY: Final = """
SELECT State AS state, Reason AS reason, DecidedBy AS by, toUnixTimestamp64Nano(DecidedAt) AS at
FROM asgiscope_decisions
WHERE FindingId = {id:String}
ORDER BY DecidedAt DESC
LIMIT {limit:UInt32}
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The newest decision about a finding, and when the finding was last seen."""

    verdict: State
    reason: str
    by: str
    at_ns: int
    seen_ns: int


Decided = dict[str, Verdict]
"""By the finding's id. Findings without a decision are open."""


class UndecidableError(ValueError):
    """An invalid decision; the message says what to send instead."""


def decide(engine: Engine, finding_id: str, decision: Decide, by: str, now_ns: int) -> FindingState | None:
    """Record a decision and return the resulting state; None if no such finding is stored.

    Raises:
        UndecidableError: the decision cannot be made by a user, or needs a reason.
    """
    reason = decision.reason.strip()
    if decision.state == State.REGRESSED:
        raise UndecidableError("a finding regresses by itself: send open, resolved or ignored")
    if decision.state == State.IGNORED and not reason:
        raise UndecidableError("a reason is required to ignore a finding: send it as `reason`")
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


def newest(engine: Engine) -> Decided:
    """Return the newest decision for every finding that has one."""
    rows = engine.rows(_NEWEST)
    resolved = [row["id"] for row in rows if _parts(row)[0] == State.RESOLVED]
    seen = {}
    if resolved:
        seen = {row["id"]: row["seen_ns"] for row in engine.rows(_SEEN, {"ids": resolved})}
    found = {}
    for row in rows:
        verdict, reason, by = _parts(row)
        found[row["id"]] = Verdict(State(verdict), reason, by, row["at_ns"], seen.get(row["id"], 0))
    return found


def _parts(row: dict[str, Any]) -> tuple[str, str, str]:
    decided = row["decided"]
    verdict, reason, by = decided.values() if isinstance(decided, dict) else decided
    return verdict, reason, by


def state_of(decided: Verdict | None, last_ns: int) -> FindingState:
    """Return the state of a finding that was last seen at `last_ns`."""
    if decided is None:
        return FindingState(state=State.OPEN, reason="", by="", at=None)
    state = decided.verdict
    if state == State.RESOLVED and (decided.seen_ns or last_ns) > decided.at_ns:
        state = State.REGRESSED
    return FindingState(state=state, reason=decided.reason, by=decided.by, at=rfc3339(decided.at_ns))


def history(engine: Engine, finding_id: str) -> list[Decision]:
    """Return the newest decisions about a finding, newest first."""
    return [
        Decision(state=row["state"], reason=row["reason"], by=row["by"], at=rfc3339(row["at"]))
        for row in engine.rows(_HISTORY, {"id": finding_id, "limit": _SHOWN})
    ]
