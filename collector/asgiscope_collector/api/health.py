"""`/healthz`: the process lives. `/readyz`: what is sent is stored, and what is asked is answered."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answer while the process lives."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "not ready; `reason` says why"}})
async def readyz(request: Request) -> JSONResponse:
    """200 once ingest and queries work; before that and when either fails, 503 with the reason."""
    reason = await request.app.state.collector.unready()
    if reason:
        return JSONResponse({"status": "unavailable", "reason": reason}, 503)
    warnings = [f"alerts: {each}" for each in request.app.state.collector.alerting.warnings()]
    return JSONResponse({"status": "ready", **({"warnings": warnings} if warnings else {})})
