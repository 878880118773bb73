"""`/healthz`: the process is alive. `/readyz`: it can store and answer. `/api/status`: its status."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from asgiscope_collector.schemas import Status

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answer while the process is alive."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "not ready; `reason` says why"}})
async def readyz(request: Request) -> JSONResponse:
    """Return 200 once ingest and queries work; before that, and when either fails, 503.

    Reasons and warnings are only included for signed-in users, if a login is configured.
    """
    reason = await request.app.state.collector.unready()
    # Paths and addresses are only for users who may see them; a supervisor needs just the status.
    may_look = not request.app.state.access.login or bool(getattr(request.state, "user", ""))
    if reason:
        return JSONResponse({"status": "unavailable", **({"reason": reason} if may_look else {})}, 503)
    warnings = [f"alerts: {each}" for each in request.app.state.collector.alerting.warnings()]
    return JSONResponse({"status": "ready", **({"warnings": warnings} if warnings and may_look else {})})


@router.get("/api/status")
async def status(request: Request) -> Status:
    """Return the collector's status: what it accepts and stores, and how much space is left."""
    found: Status = await request.app.state.collector.status()
    return found
