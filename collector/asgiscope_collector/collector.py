"""The parts that run behind the app, and the order in which they start and stop."""

import asyncio
import logging
from collections.abc import Callable

from clickhouse_connect.driver.exceptions import Error as EngineError

from asgiscope_collector.engine.client import Engine, EngineBusyError, EngineClosedError
from asgiscope_collector.loader import Loader
from asgiscope_collector.receive.otlp_http import Receiver
from asgiscope_collector.settings import Settings
from asgiscope_collector.spool import Spool

logger = logging.getLogger(__name__)


class Collector:
    """Spool, engine, loader and receiver of one data folder, whose lock the caller holds.

    Raises:
        OSError: the spool's folder cannot be read or written.
    """

    def __init__(self, settings: Settings, on_fatal: Callable[[str], None] = logger.critical) -> None:
        self.settings = settings
        self._on_fatal = on_fatal
        self.spool = Spool(
            settings.data / "spool", max_bytes=settings.spool_max_bytes, segment_bytes=settings.segment_bytes
        )
        self.engine = Engine(settings)
        self.loader = Loader(
            self.spool,
            self.engine,
            interval=settings.load_interval_ms / 1000,
            rejected=settings.data / "rejected",
        )
        self.receiver = Receiver(settings, self.spool)
        self._opening: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to open the engine; what is sent meanwhile is spooled."""
        self._opening = asyncio.create_task(self._open())

    async def stop(self) -> None:
        """Store what was accepted, then close the engine."""
        if self._opening:
            await asyncio.wait([self._opening])
        await asyncio.to_thread(self.spool.close)
        await asyncio.to_thread(self.loader.close)
        await asyncio.to_thread(self.engine.close)
        logger.info("stopped: %d bytes left in the spool", self.spool.size)

    async def unready(self) -> str:
        """Why the collector cannot work now, or ''."""
        if not self.engine.is_open:
            return "the store is not open yet"
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

    async def _open(self) -> None:
        try:
            await asyncio.to_thread(self.engine.open)
        except Exception as error:
            logger.exception("the store could not be opened")
            self._on_fatal(f"the store in {self.settings.data} could not be opened: {error}")
        else:
            self.loader.start()
            logger.info("ready: data in %s", self.settings.data)
