"""The ASGI app: ingest routes, JSON API and the dashboard."""

import asyncio
import mimetypes
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from asgiscope_collector import __version__
from asgiscope_collector.access.auth_middleware import AuthMiddleware
from asgiscope_collector.service import Collector
from asgiscope_collector.settings import Settings
from asgiscope_collector.web.response_cache import ResponseCache
from asgiscope_collector.web.routes import (
    alerts,
    blocking,
    contention,
    deletion,
    findings,
    health,
    hops,
    live,
    metrics,
    middleware,
    overview,
    pools,
    prometheus,
    refusals,
    releases,
    services,
    session,
    traces,
)
from asgiscope_collector.web.routes.errors import install_handlers
from asgiscope_collector.web.security import SecurityHeadersMiddleware, Senders

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

STATIC: Final = Path(__file__).parents[1] / "static"
_GZIP: Final = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", re.IGNORECASE)
"""Accepted in `Accept-Encoding`, unless with q=0 (RFC 9110, 12.5.3)."""
_NOT_BUILT: Final = (
    "asgiscope-collector is running, but its page is not built: run `make ui` in the source tree, or install "
    "the released package.\nThe API is at /api, its description at /api/openapi.json.\n"
)


class _Pages(StaticFiles):
    """The built page; any path that is not a file returns the page itself.

    Assets are served compressed, as they were built.
    """

    async def get_response(self, path: str, scope: Scope) -> Response:
        if path.startswith("assets/"):
            return await self._asset(path, scope)
        try:
            return await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404 or path.startswith(("api/", "v1/")):  # noqa: PLR2004
                raise
            return await super().get_response("index.html", scope)

    async def _asset(self, path: str, scope: Scope) -> Response:
        packed = _GZIP.search(Headers(scope=scope).get("accept-encoding", "")) is not None
        try:
            response = await super().get_response(f"{path}.gz" if packed else path, scope)
        except HTTPException as error:
            if not packed or error.status_code != 404:  # noqa: PLR2004
                raise
            response, packed = await super().get_response(path, scope), False
        if packed:
            response.headers["content-encoding"] = "gzip"
        response.headers["vary"] = "accept-encoding"
        return response


def create_app(
    settings: Settings, *, static: Path = STATIC, on_fatal: Callable[[str], None] | None = None
) -> FastAPI:
    """Build the app over a data folder; its lifespan starts and stops the collector.

    Raises:
        OSError: the data folder cannot be read or written.
    """
    collector = Collector(settings, on_fatal) if on_fatal else Collector(settings)

    tracers: list[TracerProvider] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        collector.start()
        try:
            yield
        finally:
            await collector.stop()
            for tracer in tracers:
                await asyncio.to_thread(tracer.shutdown)

    app = FastAPI(
        title="asgiscope-collector",
        version=__version__,
        lifespan=lifespan,
        openapi_url="/api/openapi.json",
        # FastAPI's interactive docs load scripts from another site, which the content security policy
        # forbids.
        docs_url=None,
        redoc_url=None,
    )
    app.state.collector = collector
    app.state.access = collector.access
    install_handlers(app)
    for module in (
        health,
        overview,
        findings,
        blocking,
        contention,
        pools,
        refusals,
        hops,
        middleware,
        traces,
        releases,
        live,
        services,
        metrics,
        alerts,
        session,
        deletion,
        prometheus,
    ):
        app.include_router(module.router)
    app.router.routes.extend(collector.receiver.routes)
    if (static / "index.html").is_file():
        # Reads system files, which must not happen on the event loop during the first request.
        mimetypes.init()
        app.mount("/", _Pages(directory=static, html=True))
    else:

        @app.get("/", include_in_schema=False)
        async def not_built() -> PlainTextResponse:
            return PlainTextResponse(_NOT_BUILT)

    app.add_middleware(ResponseCache, state=collector.stored)
    if collector.access.provider is not None:
        # Keeps the state of the redirect to the provider and back, signed, for ten minutes.
        app.add_middleware(
            SessionMiddleware,
            secret_key=collector.access.sessions.key.hex(),
            session_cookie="asgiscope_sign_in",
            max_age=600,
            path="/api/session",
            https_only=collector.access.secure,
        )
    if collector.access.login:
        app.add_middleware(AuthMiddleware, **collector.access.auth_options())
    if settings.allowed_origins:
        app.add_middleware(Senders, origins=settings.allowed_origins)
    app.add_middleware(SecurityHeadersMiddleware, check_host=settings.loopback and not settings.login)
    if settings.trace_to:
        # Imported here because OpenTelemetry's SDK and exporter are not needed to receive data.
        from asgiscope_collector.tracing import trace  # noqa: PLC0415 - see above

        tracers.append(trace(app, settings.trace_to))
    return app
