"""Configuration of the receivers in the rules file, and of the network that they may reach."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from asgiscope_collector.alerts.rules.config_types import Duration, Names, secret_pair, variables

_SECOND: Final = 1_000_000_000
_DEFAULT_TIMEOUT: Final = 10 * _SECOND
_PAGERDUTY: Final = "https://events.pagerduty.com"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Network(_Strict):
    """Allowed destinations of notifications. Redirects are never followed, and no proxy is used."""

    allowed_hosts: Names = []
    """If not empty, only these hosts are allowed; `*` matches any characters."""
    allow_private: list[str] = []
    """Allowed networks of loopback, private and other non-public addresses, as 127.0.0.0/8 or 10.0.0.0/8."""

    @field_validator("allow_private")
    @classmethod
    def _networks(cls, networks: list[str]) -> list[str]:
        for network in networks:
            try:
                ip_network(network)
            except ValueError as error:
                raise ValueError(
                    f"{network!r} is no network: {error}; write 10.0.0.0/8 or fd00::/8"
                ) from None
        return networks


class _Receiver(_Strict):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")
    timeout: Duration = Field(default=_DEFAULT_TIMEOUT, ge=_SECOND, le=20 * _SECOND)
    """Timeout of one attempt."""


def _check_url(text: str) -> None:
    if not text or variables(text):
        return
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        # The value may be a secret, such as the path of an incoming webhook: do not repeat it.
        raise ValueError("url is no http or https URL: write https://host/path")


class Webhook(_Receiver):
    """Alertmanager's body, version 4, signed as Standard Webhooks if there is a secret."""

    type: Literal["webhook"]
    url: str = ""
    url_file: Path | None = None
    secret: str = ""
    secret_file: Path | None = None
    """Base64, with or without the prefix `whsec_`."""
    max_alerts: int = Field(default=100, ge=1, le=10_000)
    """Limit of alerts in one message; for the rest only their number is sent."""

    @model_validator(mode="after")
    def _secrets(self) -> "Webhook":
        secret_pair(self, "url", plain=True)
        secret_pair(self, "secret", required=False)
        _check_url(self.url)
        return self


class Slack(_Receiver):
    """An incoming webhook of Slack, or of a service that accepts the same body."""

    type: Literal["slack"]
    url: str = ""
    url_file: Path | None = None

    @model_validator(mode="after")
    def _secrets(self) -> "Slack":
        secret_pair(self, "url")
        return self


class PagerDuty(_Receiver):
    """PagerDuty Events API v2: a group of alerts is an incident."""

    type: Literal["pagerduty"]
    routing_key: str = ""
    routing_key_file: Path | None = None
    url: str = f"{_PAGERDUTY}/v2/enqueue"

    @model_validator(mode="after")
    def _secrets(self) -> "PagerDuty":
        secret_pair(self, "routing_key")
        _check_url(self.url)
        return self


class Alertmanager(_Receiver):
    """Alertmanager's own API: it groups, silences and routes."""

    type: Literal["alertmanager"]
    url: str
    """Base URL, without `/api/v2/alerts`."""
    username: str = ""
    password: str = ""
    password_file: Path | None = None

    @model_validator(mode="after")
    def _secrets(self) -> "Alertmanager":
        secret_pair(self, "password", required=bool(self.username))
        _check_url(self.url)
        return self


class Email(_Receiver):
    """SMTP. Without TLS only to a loopback address, or if `tls: none` is set."""

    type: Literal["email"]
    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=587, ge=1, le=65535)
    tls: Literal["starttls", "tls", "none"] = "starttls"
    sender: str = Field(min_length=3, pattern=r"^[^\r\n]+@[^\r\n]+$")
    to: Names
    username: str = ""
    password: str = ""
    password_file: Path | None = None

    @model_validator(mode="after")
    def _secrets(self) -> "Email":
        secret_pair(self, "password", required=bool(self.username))
        if not self.to or any("@" not in address or not address.isprintable() for address in self.to):
            raise ValueError("`to` is a list of addresses, as [ops@example.com]")
        if self.username and self.tls == "none":
            raise ValueError("a password is not sent without TLS: write tls: starttls or tls: tls")
        return self


ReceiverConfig = Annotated[
    Webhook | Slack | PagerDuty | Alertmanager | Email,
    Field(discriminator="type"),
]
