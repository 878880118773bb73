"""Ended bridge calls, and the sums of a request's calls at one line. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from asgiscope.intervals import IntervalSet
from asgiscope.semconv import ThreadRole
from asgiscope.stack.call_site import Frame

_POOL: Final = ThreadRole.POOL


class Crossing(NamedTuple):
    """The kept data of an ended bridge call, whether it is sent or not."""

    site: Frame | None
    func: object
    """Identity of the function; see `call_site.identity_of`."""
    role: str
    """Role of its executor's thread."""
    wait_ns: int
    run_ns: int
    resume_ns: int
    started: int = 0
    """When it was submitted."""


class SiteSums:
    """The hops that a request made at one line."""

    __slots__ = ("_waits", "cost_ns", "hops", "site")

    def __init__(self, site: Frame) -> None:
        self.site = site
        self.hops = 0
        self.cost_ns = 0
        """Union of their waits and resume delays: each instant of concurrent hops counts once."""
        self._waits = IntervalSet()

    def add(self, started: int, wait_ns: int, run_ns: int, resume_ns: int) -> None:
        """Add a hop."""
        self.hops += 1
        begun = started + wait_ns
        self.cost_ns += self._waits.add(started, begun)
        self.cost_ns += self._waits.add(begun + run_ns, begun + run_ns + resume_ns)

    def copy(self) -> "SiteSums":
        """Return a copy that can be changed."""
        other = SiteSums(self.site)
        other.hops, other.cost_ns, other._waits = self.hops, self.cost_ns, self._waits.copy()
        return other


def add_to_sites(sites: dict[tuple[int, int], SiteSums], crossings: Sequence[Crossing]) -> None:
    """Add crossings to the sums of their call sites."""
    for site, _, role, wait_ns, run_ns, resume_ns, started in crossings:
        # A hop storm consists of consecutive hops; calls to pools are concurrent.
        if site is not None and role != _POOL:
            known = sites.get(site.key)
            if known is None:
                known = sites[site.key] = SiteSums(site)
            known.add(started, wait_ns, run_ns, resume_ns)
