"""A sync-only middleware, and the chain as Django has loaded it."""

from typing import NamedTuple

from asgiscope.records.scope import Scope
from asgiscope.stack.call_site import Site


class SyncMiddleware(NamedTuple):
    """A sync-only middleware that makes Django send requests through a thread."""

    path: str
    """Its dotted path in `settings.MIDDLEWARE`."""
    site: Site | None
    """Where it is defined."""


class Chain(Scope):
    """The middleware chain, as Django has just loaded it."""

    def __init__(
        self, now: int, names: list[str], modes: list[str], adapted: list[str], hooks: list[str]
    ) -> None:
        super().__init__(None, now)
        self.ended = now
        self.names = names
        self.modes = modes
        self.adapted = adapted
        self.hooks = hooks
