"""The libraries: what is installed, which paths are healthy, and which known misuse is which finding."""

from collections.abc import Sequence
from dataclasses import dataclass, field

DJANGO = "django==6.1.3"
SERVER = ("asgiref==3.13.0", "uvicorn==0.54.0", "websockets==16.0")


@dataclass(frozen=True)
class Misuse:
    """A path whose code does what the library's users are known to do wrong."""

    path: str
    kind: str
    """A `FindingKind`."""
    function: str
    """The qualified name at the finding's call site."""
    user_object: str = ""
    """The object of the site that is named beside a library's function; empty where the call site is the site's."""


@dataclass(frozen=True)
class Library:
    """A site in `sites/`, of the same name."""

    name: str
    requirements: Sequence[str]
    healthy: Sequence[str] = ("/",)
    """Paths of which no finding must come, and which must cost and answer the same without asgiscope."""
    sockets: Sequence[str] = ()
    """Paths of WebSockets that answer each message."""
    streams: Sequence[str] = ()
    """Paths whose first part is read before the client leaves."""
    misuses: Sequence[Misuse] = ()
    true_findings: Sequence[str] = ()
    """`kind function` of findings that are right though the library's documentation has one use it so."""
    volatile: Sequence[str] = ()
    """Patterns of what differs from one answer to the next."""
    needs: Sequence[str] = ()
    """`redis` or `postgres`."""
    django: str = DJANGO
    env: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    @property
    def all_requirements(self) -> tuple[str, ...]:
        """With Django and the server."""
        return (self.django, *SERVER, *self.requirements)
