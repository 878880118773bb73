"""Access control as configured by the settings."""

from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgiscope_collector.access.passwords import UserFile
from asgiscope_collector.access.sessions import Sessions
from asgiscope_collector.access.tokens import Tokens
from asgiscope_collector.settings import Settings

if TYPE_CHECKING:
    from asgiscope_collector.access.oidc import Provider


class Access:
    """Ingest tokens and sign-in methods; each is None if the settings do not enable it.

    Raises:
        SettingsError: a file of secrets cannot be used.
        OSError: the key of the sessions cannot be read or written.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.tokens = Tokens(Path(settings.ingest_tokens)) if settings.ingest_tokens else None
        self.users = UserFile(Path(settings.users_file)) if settings.users_file else None
        self.provider = _provider_of(settings) if settings.oidc_issuer else None
        self.sessions = Sessions(settings.data, hours=settings.session_hours)
        self.login = settings.login
        self.proxies = [ip_network(each) for each in settings.trusted_proxies]
        self.secure = settings.page_url.startswith("https://")
        """Whether to mark the cookie as https only: users reach the page by https, whatever proxies are in
        between.
        """

    def permits(self, authorization: str, /) -> bool:
        """Return whether a sender with this `Authorization` header may send."""
        return self.tokens is None or self.tokens.permits(authorization)

    def auth_options(self) -> dict[str, Any]:
        """Return the arguments of `AuthMiddleware`."""
        return {
            "sessions": self.sessions,
            "users": self.users,
            "tokens": self.tokens,
            "oidc": self.provider is not None,
            "proxy_header": self._settings.proxy_header,
            "proxies": self.proxies,
        }


def _provider_of(settings: Settings) -> "Provider":
    # Imported here because authlib and its HTTP client are a tenth of all imports, and few collectors use
    # OIDC.
    from asgiscope_collector.access.oidc import Provider  # noqa: PLC0415 - see above

    return Provider(settings)
