"""The list of findings: read from the rollups; spans are only read for occurrences that have not ended."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from asgiscope.semconv import (
    EXCEPTION_MESSAGE,
    HOLDER_QUERY,
    LIBRARY_SITE,
    OPERATION_KIND,
    REFUSAL_CAUGHT,
    REFUSAL_STATUS,
    REFUSED_BY,
    USER_OBJECT,
    USER_OBJECT_KIND,
    FindingKind,
)

from asgiscope_collector.queries.common import rollup_resolution, summaries
from asgiscope_collector.queries.common.scope import Scope, Steps
from asgiscope_collector.queries.common.times import rfc3339
from asgiscope_collector.queries.findings import columns as sql
from asgiscope_collector.queries.findings import decisions
from asgiscope_collector.queries.findings.advice import advise
from asgiscope_collector.queries.findings.background import background_victims, victims_of
from asgiscope_collector.queries.findings.decisions import Decided
from asgiscope_collector.queries.statistics.histogram import quantile
from asgiscope_collector.schemas import (
    CallSite,
    Finding,
    Findings,
    FindingState,
    Holder,
    Outcome,
    State,
    UserObject,
    Victims,
)
from asgiscope_collector.store.client import Engine

_TRACES_SHOWN: Final = 5
_ROUTES_SHOWN: Final = 100
_SPARKS: Final = 30
_NO_DAYS: Final[dict[str, Any]] = {"day_first_ns": 0, "day_last_ns": 0, "versions": []}


class Sort(StrEnum):
    """Order of the list."""

    IMPACT = "impact"
    """Time lost, by the call itself and by affected requests; a refusal counts as one second."""
    TOTAL = "total"
    COUNT = "count"
    P95 = "p95"
    MAX = "max"
    VICTIMS = "victims"
    LAST_SEEN = "last_seen"
    FIRST_SEEN = "first_seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Filters of the list; an empty field matches everything."""

    scope: Scope
    kinds: Sequence[FindingKind] = ()
    states: Sequence[State] = ()
    route: str = ""
    site: str = ""
    """The exact function or file of the call site."""
    text: str = ""
    ids: Sequence[str] = field(default_factory=list)

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters for SQL."""
        return {
            **self.scope.parameters,
            # Never empty: kinds of a newer instrumentation are not shown, because there is no text for them.
            "kinds": [kind.value for kind in self.kinds or FindingKind],
            "states": [state.value for state in self.states],
            "route": self.route,
            "site": self.site,
            "text": self.text,
            "ids": list(self.ids),
        }


def list_findings(engine: Engine, asked: Filter, sort: Sort, *, limit: int, offset: int) -> Findings:
    """Return a page of findings, the highest by `sort` first."""
    decided = decisions.newest(engine)
    ids, total = _ranked(engine, asked, sort, decided, limit=limit, offset=offset)
    if offset and not ids:
        _, total = _ranked(engine, asked, sort, decided, limit=1, offset=0)
    found = load_findings(engine, replace(asked, ids=ids), decided) if ids else {}
    asked_range = asked.scope.range
    return Findings(
        findings=[found[each].finding for each in ids if each in found],
        total=total,
        since_ns=asked_range.since_ns,
        until_ns=asked_range.until_ns,
        sparkline_step_ns=Steps(asked_range, _SPARKS).ns,
    )


def _ranked(
    engine: Engine, asked: Filter, sort: Sort, decided: Decided, *, limit: int, offset: int
) -> tuple[list[str], int]:
    """Return the ids of a page, in order, and the number of findings."""
    parameters: dict[str, Any] = {**asked.parameters, "limit": limit, "offset": offset}
    having = [sql.IN_TEXT] if asked.text else []
    if asked.states and (decided or State.OPEN not in asked.states):
        having.append(sql.IN_STATES)
        parameters |= {
            "decided": list(decided),
            "verdicts": [each.verdict.value for each in decided.values()],
            "decided_ns": [each.at_ns for each in decided.values()],
            "seen_ns": [each.seen_ns for each in decided.values()],
        }
    ranked = sql.RANKED.replace("$rank", sql.RANKS[sort]).replace("$having", " AND ".join(having) or "1")
    order = "rank"
    if sort in sql.OF_DAYS:
        ranked, order = sql.BY_DAYS.replace("$ranked", ranked), sql.OF_DAYS[sort]
    rows = rollup_resolution.rows(engine, ranked + sql.PAGE.replace("$order", order), parameters)
    return [row["id"] for row in rows], rows[0]["findings"] if rows else 0


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding, and the distribution of the cost of its occurrences."""

    finding: Finding
    histogram: dict[int, int]


def load_findings(engine: Engine, asked: Filter, decided: Decided | None = None) -> dict[str, FindingRow]:
    """Return the findings in `asked.ids` that occur in the range, by id."""
    steps = Steps(asked.scope.range, _SPARKS)
    parameters = {**asked.parameters, "step": steps.seconds}
    rows = rollup_resolution.rows(engine, sql.KNOWN, parameters)
    if not rows:
        return {}
    decided = decisions.newest(engine) if decided is None else decided
    days = {row["id"]: row for row in engine.rows(sql.DAYS, parameters)}
    facts = {row["id"]: facts_of(row["facts"]) for row in engine.rows(sql.FACTS, parameters)}
    more = {row["id"]: _Extras([row["sparkline"].get(time, 0) for time in steps.times]) for row in rows}
    for row in rollup_resolution.rows(engine, sql.HOLDERS, parameters):
        if row["id"] in more:
            more[row["id"]].holders.append(holder_of(row))
    background = background_victims(engine, parameters)
    if any(row["ongoing_reports"] for row in rows):
        _add_ongoing(engine, parameters, more)
    found = {}
    for row in rows:
        row.update(days.get(row["id"], _NO_DAYS))
        if row["day_first_ns"]:
            row["first_ns"] = min(row["first_ns"], row["day_first_ns"])
        row["last_ns"] = max(row["last_ns"], row["day_last_ns"])
        more[row["id"]].routes = _routes(row)
        more[row["id"]].facts = facts.get(row["id"], {})
        state = decisions.state_of(decided.get(row["id"]), row["last_ns"])
        victims = victims_of(row, background.get((row["id"], None)))
        found[row["id"]] = FindingRow(_finding(row, more[row["id"]], victims, state), row["histogram"])
    return found


def _add_ongoing(engine: Engine, parameters: dict[str, Any], more: "dict[str, _Extras]") -> None:
    """Add the occurrences that have not ended: their number, and what they wait for."""
    for row in engine.rows(sql.ONGOING, parameters):
        if row["id"] in more:
            more[row["id"]].ongoing, more[row["id"]].ongoing_ns = row["ongoing"], row["ongoing_ns"]
    if not any(each.ongoing for each in more.values()):
        return
    for row in engine.rows(sql.ONGOING_HOLDERS, parameters):
        if row["id"] in more:
            _add_holder(more[row["id"]].holders, holder_of(row))


def _routes(row: dict[str, Any]) -> list[str]:
    """Return the routes with the highest cost first; work outside any request has none."""
    costs, counts = row["route_costs"], row["route_counts"]
    routes = sorted(counts, key=lambda route: (-costs.get(route, 0), -counts[route], route))
    return [route for route in routes[:_ROUTES_SHOWN] if route]


@dataclass(slots=True)
class _Extras:
    """Data of a finding that is not in its row."""

    sparkline: list[int]
    routes: list[str] = field(default_factory=list)
    holders: list[Holder] = field(default_factory=list)
    ongoing: int = 0
    ongoing_ns: int = 0
    facts: dict[str, str] = field(default_factory=dict)
    """Attributes of the newest span."""


def _finding(row: dict[str, Any], more: _Extras, victims: Victims, state: FindingState) -> Finding:
    kind = FindingKind(row["kind"])
    chain = strings_of(row["chain"])
    histogram = row["histogram"]
    site = CallSite(function=row["function"], file=row["file"], line=row["line"])
    return Finding(
        id=row["id"],
        kind=kind,
        service=row["service"],
        environments=row["environments"],
        versions=list(dict.fromkeys(version for version in row["versions"] if version)),
        state=state,
        summary=summaries.summary(
            kind=kind,
            function=site.function,
            operation=row["operation"],
            executor=row["executor"],
            routes=more.routes,
            count=row["count"],
            total_ns=row["total_ns"],
            victims=victims,
            ongoing=more.ongoing,
            ongoing_ns=more.ongoing_ns,
            holder=more.holders[0].function or more.holders[0].call_site.function if more.holders else "",
            chain=chain,
            message=more.facts.get(EXCEPTION_MESSAGE, "") if more.facts.get(REFUSED_BY) == "asgiref" else "",
            outcome=outcome_of(more.facts),
        ),
        call_site=site,
        routes=more.routes,
        count=row["count"],
        total_ns=row["total_ns"],
        p50_ns=quantile(histogram, 0.50, row["min_ns"], row["max_ns"]),
        p95_ns=quantile(histogram, 0.95, row["min_ns"], row["max_ns"]),
        max_ns=row["max_ns"],
        victims=victims,
        impact_ns=row["impact_ns"],
        holders=more.holders,
        operation=row["operation"],
        operation_kind=more.facts.get(OPERATION_KIND, ""),
        message=more.facts.get(EXCEPTION_MESSAGE, ""),
        outcome=outcome_of(more.facts),
        library_site=more.facts.get(LIBRARY_SITE, ""),
        holder_query=more.facts.get(HOLDER_QUERY, ""),
        user_object=_user_object(more.facts),
        chain=chain,
        stack=_stack(row["stack"]),
        executor=row["executor"] if kind in {FindingKind.CONTENTION, FindingKind.POOL_STARVATION} else "",
        ongoing=more.ongoing,
        first_seen=rfc3339(row["first_ns"]),
        last_seen=rfc3339(row["last_ns"]),
        trace_ids=list(dict.fromkeys([row["costliest"], *sorted(row["traces"])]))[:_TRACES_SHOWN],
        sparkline=more.sparkline,
        advice=advise(kind, more.facts, row["executor"]),
    )


def holder_of(row: dict[str, Any]) -> Holder:
    """Return a row of holders as a model."""
    return Holder(
        function=row["holder"],
        call_site=CallSite(function=row["function"], file=row["file"], line=row["line"]),
        route=row["route"],
        overlap_ns=row["overlap_ns"],
        count=row["count"],
        trace_id=row["trace_id"],
    )


def _add_holder(holders: list[Holder], other: Holder) -> None:
    """Add time of calls that have not ended to that of ended ones; the call with the most time is named."""

    def key(holder: Holder) -> tuple[str, str, str, str]:
        return holder.function, holder.call_site.function, holder.call_site.file, holder.route

    for place, known in enumerate(holders):
        if key(known) == key(other):
            sums = {"overlap_ns": known.overlap_ns + other.overlap_ns, "count": known.count + other.count}
            holders[place] = known.model_copy(update=sums)
            break
    else:
        holders.append(other)
    holders.sort(key=lambda holder: -holder.overlap_ns)


def facts_of(text: str) -> dict[str, str]:
    """Parse the stored attributes of a finding's newest span."""
    value = json.loads(text) if text else {}
    return {str(name): str(each) for name, each in value.items()}


def outcome_of(facts: Mapping[str, str]) -> Outcome | None:
    """Return the outcome of the newest refusal, or None if it was outside of a request."""
    caught, status = facts.get(REFUSAL_CAUGHT), facts.get(REFUSAL_STATUS, "")
    if caught is None:
        return None
    return Outcome(caught=caught == "true", status=int(status) if status.isdecimal() else 0)


def _user_object(facts: Mapping[str, str]) -> UserObject | None:
    name = facts.get(USER_OBJECT, "")
    return UserObject(kind=facts.get(USER_OBJECT_KIND, ""), name=name) if name else None


def strings_of(text: str) -> list[str]:
    """Parse a string array as stored in the span table; any other text is one string."""
    if not text:
        return []
    try:
        value = json.loads(text)
    except ValueError:
        return [text]
    return (
        [each if isinstance(each, str) else json.dumps(each) for each in value]
        if isinstance(value, list)
        else [text]
    )


def _stack(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]
