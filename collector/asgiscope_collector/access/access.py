"""Everything about who may do what, as the settings say."""

from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgiscope_collector.access.passwords import People
from asgiscope_collector.access.sessions import Sessions
from asgiscope_collector.access.tokens import Tokens
from asgiscope_collector.settings import Settings

if TYPE_CHECKING:
    from asgiscope_collector.access.oidc import Provider


class Access:
    """Tokens for senders and a login for people; each None where the settings have none.

    Raises:
        SettingsError: a file of secrets cannot be used.
        OSError: the key of the sessions cannot be read or written.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.tokens = Tokens(Path(settings.ingest_tokens)) if settings.ingest_tokens else None
        self.people = People(Path(settings.people)) if settings.people else None
        self.provider = _provider_of(settings) if settings.oidc_issuer else None
        self.sessions = Sessions(settings.data, hours=settings.session_hours)
        self.login = settings.login
        self.proxies = [ip_network(each) for each in settings.trusted_proxies]
        self.secure = settings.page_url.startswith("https://")
        """The cookie is for https only: people come by https, whatever stands between."""

    def permits(self, authorization: str, /) -> bool:
        """Whether a sender with this `Authorization` may send."""
        return self.tokens is None or self.tokens.permits(authorization)

    def gate(self) -> dict[str, Any]:
        """The arguments of the `Gate`."""
        return {
            "sessions": self.sessions,
            "people": self.people,
            "tokens": self.tokens,
            "oidc": self.provider is not None,
            "proxy_header": self._settings.proxy_header,
            "proxies": self.proxies,
        }


def _provider_of(settings: Settings) -> "Provider":
    # Only here: authlib and its HTTP client are a tenth of all that is imported, and few have an identity provider.
    from asgiscope_collector.access.oidc import Provider  # noqa: PLC0415 - see above

    return Provider(settings)
