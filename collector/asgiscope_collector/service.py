"""The parts that run behind the app, and the order in which they start and stop."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from clickhouse_connect.driver.exceptions import Error as EngineError

from asgiscope_collector import operations
from asgiscope_collector.access.access import Access
from asgiscope_collector.alerts.evaluate.lease import Lease, owner_name
from asgiscope_collector.alerts.evaluate.loop import Alerting
from asgiscope_collector.alerts.evaluate.series import Gauges
from asgiscope_collector.control import ControlServer
from asgiscope_collector.feed import Feed
from asgiscope_collector.housekeeping import Disk, Housekeeping
from asgiscope_collector.ingest.http import Receiver
from asgiscope_collector.ingest.inbox import Inbox
from asgiscope_collector.ingest.loader import Loader
from asgiscope_collector.ingest.retries import SECONDS as RETRIES_SECONDS
from asgiscope_collector.operations import Context
from asgiscope_collector.schemas import Status
from asgiscope_collector.settings import Settings
from asgiscope_collector.store.checks import broken_parts
from asgiscope_collector.store.client import Engine, EngineBusyError, EngineClosedError
from asgiscope_collector.store.rebuild import finish
from asgiscope_collector.wal.journal import Journal
from asgiscope_collector.wal.spool import Spool

if TYPE_CHECKING:
    from asgiscope_collector.ingest.grpc import GrpcReceiver

logger = logging.getLogger(__name__)

_PAUSE_FIRST: Final = 1.0
_PAUSE_MAX: Final = 30.0
_NS: Final = 1_000_000_000
_MINUTE: Final = 60
_OTHERS_WRITE: Final = 1


class Collector:
    """Spool, engine, loader and receiver of one data folder, whose lock the caller holds.

    Raises:
        OSError: the spool's folder cannot be read or written.
        SettingsError: a file of secrets cannot be used.
    """

    def __init__(self, settings: Settings, on_fatal: Callable[[str], None] = logger.critical) -> None:
        self.settings = settings
        self._on_fatal = on_fatal
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.disk = Disk(settings.data, settings.disk_min_free_bytes)
        self.spool = Spool(
            settings.data / "spool",
            Journal(settings.data / "digests", keep_seconds=RETRIES_SECONDS),
            max_bytes=settings.spool_max_bytes,
            segment_bytes=settings.segment_bytes,
            sender_bytes=settings.spool_max_bytes * settings.sender_share // 100,
            no_room=lambda: self.disk.failure,
        )
        self.engine = Engine(settings)
        self.housekeeping = Housekeeping(
            settings, self.engine, self.disk, lambda: self.inbox.clocks.save(settings.data / "clocks.json")
        )
        self.loader = Loader(
            self.spool,
            self.engine,
            interval=settings.load_interval_ms / 1000,
            rejected=settings.data / "rejected",
        )
        self._control = ControlServer(settings.data, self._do)
        self.access = Access(settings)
        self.inbox = Inbox(settings, self.spool, self.access.permits, lambda: self.loader.is_refusing)
        self.inbox.clocks.restore(settings.data / "clocks.json")
        self.receiver = Receiver(settings, self.inbox)
        self.grpc: GrpcReceiver | None = None
        self._store = settings.store_address
        self.feed = Feed(self.engine, lambda: self.loader.segments, seats=settings.live_readers)
        self.alerting = Alerting(
            self.engine,
            path=settings.alerts,
            base_url=settings.page_url,
            gauges=self.gauges,
            clocks=self.inbox.clocks.wrong,
            # With several collectors on one store, one of them evaluates the rules and does not see what the
            # others store.
            stored=(lambda: self.loader.segments) if self._store.embedded else None,
            lease=None if self._store.embedded else Lease(self.engine, owner_name()),
        )
        self._opening: asyncio.Task[None] | None = None
        self._grpc_starting: asyncio.Task[None] | None = None
        self._opening_failure = ""
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """Start to open the engine; until it is open, incoming data is spooled."""
        self._opening = asyncio.create_task(self._open())
        self._grpc_starting = asyncio.create_task(self._start_grpc())
        self.feed.start()
        self.alerting.start()
        self.housekeeping.start()

    async def stop(self) -> None:
        """Store accepted data as far as the time allows, then close the engine."""
        self._stopping.set()
        # The second half of the time is for the loads that have begun by then.
        until = time.monotonic() + self.settings.stop_seconds / 2
        await self.feed.stop()
        if self._grpc_starting:
            await asyncio.wait([self._grpc_starting])
        if self.grpc:
            await self.grpc.stop()
        if self._opening:
            await asyncio.wait([self._opening])
        await self.alerting.stop()
        await asyncio.to_thread(self._control.close)
        await asyncio.to_thread(self.housekeeping.close)
        await asyncio.to_thread(self.inbox.close)
        await asyncio.to_thread(self.spool.close)
        await asyncio.to_thread(self.loader.close, until)
        await asyncio.to_thread(self.engine.close)
        logger.info("stopped: %d bytes left in the spool", self.spool.size)

    def gauges(self) -> Gauges:
        """Return the collector's own gauges."""
        oldest_ns = self.spool.oldest_ns
        return Gauges(
            drops=self.spool.refused + self.loader.rejected_bodies,
            disk_free=self.disk.free_bytes / self.disk.total_bytes,
            lag_ns=max(0, time.time_ns() - oldest_ns) if oldest_ns else 0,
        )

    def stored(self) -> tuple[int, int]:
        """Return a version of the store: queries give the same answers as long as it does not change.

        It changes after each write, and each minute because ranges move with the clock and the engine drops
        old data. With a server, which other collectors also write to, it changes each second.
        """
        seconds = _MINUTE if self._store.embedded else _OTHERS_WRITE
        return self.engine.writes, time.time_ns() // (seconds * _NS)

    async def status(self) -> Status:
        """Return the collector's status: what it accepts and stores, and how much space is left."""
        reason = await self.unready()
        kept = self.housekeeping.stored
        clocks, clocks_total = self.inbox.clocks.status(time.time_ns())
        store = "cluster" if self._store.cluster else "embedded" if self._store.embedded else "server"
        return Status(
            ready=not reason,
            reason=reason,
            accepting=not self.spool.failure,
            refusing_because=self.spool.failure,
            spool_bytes=self.spool.size,
            spool_max_bytes=self.settings.spool_max_bytes,
            disk_free_bytes=self.disk.free_bytes,
            disk_total_bytes=self.disk.total_bytes,
            disk_min_free_bytes=self.disk.min_free_bytes,
            disk_low=self.disk.low,
            store=store,
            stored_bytes=kept.bytes,
            stored_since=kept.oldest.isoformat() if kept.oldest else "",
            retention_days=self.settings.retention_days,
            rollup_retention_days=self.settings.rollup_retention_days,
            retention_bytes=self.settings.retention_bytes,
            other_keys={
                kind: count for keys in self.loader.keys.values() for kind, count in keys.others().items()
            },
            clocks=clocks,
            clocks_total=clocks_total,
        )

    async def unready(self) -> str:
        """Why the collector is not ready, or ''."""
        if not self.engine.is_open:
            return self._opening_failure or "the store is not open yet"
        if reason := self.spool.failure:
            return reason
        if self.loader.failure:
            return f"what was sent cannot be stored: {self.loader.failure}"
        try:
            await self.engine.run(self.engine.rows, "SELECT 1 FROM asgiscope_services LIMIT 1")
        except EngineBusyError:
            return "the store is busy"
        except (EngineError, EngineClosedError) as error:
            return f"the store does not answer: {error}"
        return ""

    @property
    def context(self) -> Context:
        """Return the context for operations on the store."""
        return Context(self.engine, self.settings, self.loader.paused, lambda: self.disk.failure)

    def _do(self, name: str, arguments: dict[str, Any]) -> Any:
        """Run a command's operation, on the control socket's thread."""
        if not self.engine.is_open:
            raise EngineClosedError(self._opening_failure or "the store is not open yet")
        return operations.run(name, self.context, arguments)

    async def _start_grpc(self) -> None:
        if not self.settings.grpc:
            return
        try:
            from asgiscope_collector.ingest.grpc import GrpcReceiver  # noqa: PLC0415 - an optional extra
        except ImportError as error:
            logger.error(  # noqa: TRY400 - a traceback would hide the instruction
                "gRPC is off: %s; install asgiscope-collector[grpc], or unset ASGISCOPE_COLLECTOR_GRPC", error
            )
            return
        try:
            self.grpc = GrpcReceiver(self.settings, self.inbox)
            await self.grpc.start()
        except OSError as error:
            self._on_fatal(str(error))
        else:
            logger.info("OTLP over gRPC on %s:%d", self.settings.host, self.grpc.port)

    async def _open(self) -> None:
        pause = _PAUSE_FIRST
        while not self._stopping.is_set():
            try:
                await asyncio.to_thread(self.engine.open)
            except Exception as error:
                if self._store.embedded or not isinstance(error, EngineError):
                    logger.exception("the store could not be opened")
                    self._on_fatal(f"the store could not be opened, and was left as it is: {error}")
                    return
                # A server that is unreachable may come back; until then incoming data is spooled.
                self._opening_failure = str(error)[:300]
                logger.warning(
                    "the store %s does not answer, next attempt in %.0f s: %s", self._store, pause, error
                )
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
                pause = min(pause * 2, _PAUSE_MAX)
            else:
                for text in await asyncio.to_thread(broken_parts, self.engine):
                    logger.error("store: %s", text)
                await asyncio.to_thread(finish, self.engine)
                self.loader.start()
                await asyncio.to_thread(self._control.start)
                logger.info("ready: data in %s, store %s", self.settings.data, self._store)
                return
