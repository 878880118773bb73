"""Sign-in with an identity provider: OpenID Connect's authorization code flow with PKCE, by authlib."""

from pathlib import Path
from typing import Any, Final

from authlib.integrations.base_client import OAuthError  # type: ignore[import-untyped] # ships no types
from authlib.integrations.starlette_client import OAuth  # type: ignore[import-untyped] # ships no types
from httpx2 import HTTPError

from asgiscope_collector.settings import Settings, SettingsError

_SCOPES: Final = "openid email profile"


class Provider:
    """The configured identity provider, and which of its users may sign in.

    Raises:
        SettingsError: the file with the client's secret cannot be read.
    """

    failures: Final = (HTTPError, OAuthError, ValueError)
    """Exceptions of `client` if the provider is unreachable, refuses, or sends an invalid answer."""

    def __init__(self, settings: Settings) -> None:
        try:
            secret = Path(settings.oidc_secret_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{settings.oidc_secret_file}: {error.strerror}") from None
        self._allowed = [each.strip().lower() for each in settings.oidc_allowed.split(",") if each.strip()]
        self.redirect_uri = f"{settings.page_url}/api/session/oidc/callback"
        self.client: Any = OAuth().register(
            "provider",
            client_id=settings.oidc_client_id,
            client_secret=secret,
            server_metadata_url=f"{settings.oidc_issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={"scope": _SCOPES, "code_challenge_method": "S256"},
        )

    def name_of(self, claims: dict[str, Any]) -> str:
        """Return the user's name in an identity token, or '' if this user may not sign in.

        Only an address that the provider has verified counts, because anybody may claim one.
        """
        email = str(claims.get("email", "")).lower() if claims.get("email_verified") is True else ""
        domain = email.rpartition("@")[2]
        if not email or not any(
            each == email or (each.startswith("@") and each[1:] == domain) for each in self._allowed
        ):
            return ""
        return email
