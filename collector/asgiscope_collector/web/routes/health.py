"""`/healthz`: the process lives. `/readyz`: it stores and answers. `/api/status`: how it stands."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from asgiscope_collector.schemas import Status

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answer while the process lives."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "not ready; `reason` says why"}})
async def readyz(request: Request) -> JSONResponse:
    """200 once ingest and queries work; before that and when either fails, 503.

    The reason, and warnings, are for who has signed in, where there is a login.
    """
    reason = await request.app.state.collector.unready()
    # Paths and addresses are for those who may look; a supervisor needs the status alone.
    may_look = not request.app.state.access.login or bool(getattr(request.state, "user", ""))
    if reason:
        return JSONResponse({"status": "unavailable", **({"reason": reason} if may_look else {})}, 503)
    warnings = [f"alerts: {each}" for each in request.app.state.collector.alerting.warnings()]
    return JSONResponse({"status": "ready", **({"warnings": warnings} if warnings and may_look else {})})


@router.get("/api/status")
async def status(request: Request) -> Status:
    """How the collector stands: what it takes, what it keeps, what room it has."""
    told: Status = await request.app.state.collector.status()
    return told
