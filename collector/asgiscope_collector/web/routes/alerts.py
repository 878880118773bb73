"""`/api/alerts`: alerts, rules, silences, deliveries, and tests of receivers."""

import time
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Depends, Path, Query, Request

from asgiscope_collector.alerts import models, serializers
from asgiscope_collector.alerts.evaluate.loop import Alerting
from asgiscope_collector.alerts.notify import sample_message
from asgiscope_collector.alerts.rules.models import schema
from asgiscope_collector.alerts.state import store
from asgiscope_collector.alerts.state.silences import Silence
from asgiscope_collector.queries.common.ranges import Range
from asgiscope_collector.schemas import Problem
from asgiscope_collector.web.routes.common import (
    CHANGES,
    PROBLEMS,
    Actor,
    NotFoundError,
    SameOrigin,
    Store,
    Text,
    last_day,
    last_hour,
)

router = APIRouter(prefix="/api/alerts", tags=["alerts"], responses=PROBLEMS)

LastHour = Annotated[Range, Depends(last_hour)]
LastDay = Annotated[Range, Depends(last_day)]

_MONTH_NS = 31 * 86_400 * 1_000_000_000
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "not known"}}


def alerting_of(request: Request) -> Alerting:
    """Return the app's alerting."""
    alerting: Alerting = request.app.state.collector.alerting
    return alerting


Running = Annotated[Alerting, Depends(alerting_of)]
Name = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9_.-]{0,63}$")]
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("")
async def list_alerts(
    *,
    store_: Store,
    alerting: Running,
    asked: LastDay,
    rule: Text = "",
    service: Text = "",
    limit: Limit = 200,
) -> models.Alerts:
    """List the firing alerts and those that fired in the range (by default 24 h); the newest first."""
    found = await store_.run(serializers.history, store_, asked, rule, limit)
    now_ns = time.time_ns()
    shown = [serializers.alert(alerting, serializers.current(alerting, each), now_ns) for each in found]
    return models.Alerts(
        alerts=[each for each in shown if service in ("", each.labels.get("service", ""))],
        firing=len(alerting.states.firing()),
    )


@router.get("/status")
async def status(alerting: Running) -> models.AlertStatus:
    """Return the state of alerting: the rules file, the evaluation, which collector evaluates."""
    return serializers.status(alerting)


@router.get("/schema.json")
async def rules_schema() -> dict[str, Any]:
    """Return the JSON Schema of the rules file."""
    return schema()


@router.get("/rules")
async def list_rules(alerting: Running) -> models.Rules:
    """List the active rules, with their current value and those of the last hour."""
    return models.Rules(rules=[serializers.rule(alerting, active) for active in alerting.rule_set.rules])


@router.get("/rules/{name}", responses=_NOT_FOUND)
async def find_rule(store_: Store, alerting: Running, asked: LastHour, name: Name) -> models.RuleDetail:
    """Return a rule, its values over the range (by default 1 h) from the store, and its alerts in the range."""
    active = alerting.rule_set.rule(name)
    if active is None:
        raise NotFoundError(
            Problem(error=f"no rule {name}", hint="see /api/alerts/rules for those there are")
        )
    values = await store_.run(serializers.values_over, store_, active, asked)
    found = await store_.run(serializers.history, store_, asked, name, 200)
    now_ns = time.time_ns()
    state = serializers.rule(alerting, active)
    return models.RuleDetail(
        **{**state.model_dump(), "history": [each.model_dump() for each in values] or state.history},
        alerts=[serializers.alert(alerting, serializers.current(alerting, each), now_ns) for each in found],
    )


@router.get("/silences")
async def list_silences(store_: Store, alerting: Running) -> models.Silences:
    """List the active and future silences, those that ended within a month, and the maintenance windows."""
    now_ns = time.time_ns()
    found = await store_.run(store.load_silences, store_, now_ns - _MONTH_NS)
    shown = [serializers.silence(alerting, each, now_ns) for each in found]
    # Active ones first, then future ones, then those that have ended.
    order = [models.SilenceState.ACTIVE, models.SilenceState.PENDING, models.SilenceState.EXPIRED]
    shown.sort(key=lambda each: (order.index(each.state), -each.starts_ns))
    return models.Silences(silences=shown, maintenance=serializers.maintenance(alerting, now_ns))


@router.post("/silences", status_code=201, dependencies=[SameOrigin], responses=CHANGES)
async def make_silence(
    store_: Store, alerting: Running, asked: models.SilenceRequest, actor: Actor
) -> models.Silence:
    """Create a silence: mute the alerts that match all of the matchers, until an end."""
    now_ns = time.time_ns()
    starts_ns = asked.starts_ns or now_ns
    made = Silence(
        id=uuid4().hex[:16],
        matchers=asked.matchers,
        starts_ns=starts_ns,
        ends_ns=starts_ns + asked.duration_ns,
        comment=asked.comment,
        created_by=actor,
    )
    await store_.run(store.append_silence, store_, made, now_ns)
    await alerting.refresh_silences()
    return serializers.silence(alerting, made, now_ns)


@router.delete("/silences/{silence_id}", dependencies=[SameOrigin], responses={**CHANGES, **_NOT_FOUND})
async def end_silence(
    store_: Store, alerting: Running, silence_id: Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
) -> models.Silence:
    """End a silence now. It stays in the list, as ended."""
    now_ns = time.time_ns()
    found = await store_.run(store.load_silences, store_, now_ns - _MONTH_NS)
    before = next((each for each in found if each.id == silence_id), None)
    if before is None:
        raise NotFoundError(Problem(error=f"no silence {silence_id}", hint="see /api/alerts/silences"))
    after = store.ended(before, now_ns)
    await store_.run(store.append_silence, store_, after, now_ns)
    await alerting.refresh_silences()
    return serializers.silence(alerting, after, now_ns)


@router.get("/deliveries")
async def list_deliveries(
    *, store_: Store, asked: LastDay, receiver: Text = "", alert: Text = "", limit: Limit = 100
) -> models.Deliveries:
    """List the notifications of the range (by default 24 h), the newest first, with their attempts.

    `alert` is an alert's id.
    """
    rows = await store_.run(
        store.deliveries,
        store_,
        since_ns=asked.since_ns,
        until_ns=asked.until_ns,
        receiver=receiver,
        alert=alert,
        limit=limit,
    )
    return models.Deliveries(deliveries=serializers.deliveries(rows))


@router.get("/receivers")
async def list_receivers(store_: Store, alerting: Running) -> models.Receivers:
    """List the receivers, without their secrets, with their last errors."""
    return models.Receivers(receivers=await store_.run(serializers.receivers, alerting))


@router.post("/receivers/{name}/test", dependencies=[SameOrigin], responses={**CHANGES, **_NOT_FOUND})
async def test_receiver(alerting: Running, name: Name) -> models.Delivery:
    """Send a test notification once, and return the receiver's response."""
    if alerting.rule_set.receiver(name) is None:
        raise NotFoundError(
            Problem(error=f"no receiver {name}", hint="see /api/alerts/receivers for those there are")
        )
    return serializers.deliveries(await sample_message.send(alerting, name, time.time_ns()))[0]
