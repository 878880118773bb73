"""Reloading of the rules file when it changes; the previous rules stay active if it cannot be used."""

import asyncio
import logging
from typing import Final

from asgiscope_collector.alerts.rules import loader
from asgiscope_collector.alerts.rules.loader import RulesError, RuleSet

logger = logging.getLogger(__name__)

_LOOK_NS: Final = 2_000_000_000


class RulesFile:
    """The active rules; the built-in ones until the file has been read. With an empty path, only those."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.rule_set: RuleSet = loader.read("")
        self.error = ""
        """Why the current file is not used, or ''."""
        self._again = True
        self._seen: tuple[int, int] | None = None
        self._looked_ns = 0

    def reload_next(self) -> None:
        """Read the file at the next check, even if it has not changed."""
        self._again = True

    async def reload_if_changed(self, now_ns: int) -> None:
        """Read the file if it has changed. Cheap enough for every turn of the loop."""
        if not self._again:
            if not self.path or 0 <= now_ns - self._looked_ns < _LOOK_NS:
                return
            self._looked_ns = now_ns
            seen = await asyncio.to_thread(self._stamp)
            if seen == self._seen:
                return
            self._seen = seen
        elif self.path:
            self._seen = await asyncio.to_thread(self._stamp)
        self._again = False
        await self._read(now_ns)

    async def _read(self, now_ns: int) -> None:
        try:
            self.rule_set = await asyncio.to_thread(loader.read, self.path, now_ns)
        except RulesError as error:
            first = self.rule_set.loaded_ns == 0
            instead = "the built-in rules are used" if first else "the previous rules stay in use"
            self.error = f"{self.path} cannot be used, {instead}: {error}"
            logger.error("alerts: %s", self.error)  # noqa: TRY400 - the message is complete
            return
        self.error = ""
        receivers = len(self.rule_set.file.receivers)
        origin = f" from {self.path}" if self.path else ""
        logger.info("alerts: %d rules, %d receivers%s", len(self.rule_set.rules), receivers, origin)
        for receiver in self.rule_set.file.receivers:
            for problem in await asyncio.to_thread(loader.secret_problems, receiver):
                logger.warning("alerts: receiver %s cannot be sent to: %s", receiver.name, problem)

    def _stamp(self) -> tuple[int, int] | None:
        try:
            return loader.stamp_of(self.path)
        except OSError:
            return None
