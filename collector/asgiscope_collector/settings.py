"""The collector's settings: defaults, `ASGISCOPE_COLLECTOR_*` environment variables, then command-line flags."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from asgiscope_collector.store_url import AddressError, StoreAddress

PREFIX: Final = "ASGISCOPE_COLLECTOR_"
_MIB: Final = 1024 * 1024
_TRUE: Final = {"1", "true", "yes", "on"}
_FALSE: Final = {"0", "false", "no", "off", ""}


class SettingsError(ValueError):
    """A setting has an invalid value; the message names it and says what to write instead."""


def _setting(default: Any, low: int | None = None, high: int | None = None) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The collector's settings. Sizes are bytes and times seconds, unless the name says otherwise."""

    host: str = "127.0.0.1"
    port: int = _setting(4318, 0, 65535)
    grpc: bool = False
    """Also receive OTLP over gRPC; needs the extra `grpc`."""
    grpc_port: int = _setting(4317, 0, 65535)
    data: Path = Path("asgiscope-data")
    store: str = field(default="chdb://", repr=False)
    """`chdb://` stores everything in the data folder; `clickhouse://user:password@host:port/database` uses a
    server, with `?cluster=name` a cluster. See store_url.py for the options.
    """
    engine_memory_bytes: int = _setting(1024 * _MIB, 256 * _MIB)
    """Memory limit of the embedded engine. Ignored with a server."""
    insecure_open: bool = False
    """Listen on an address that other machines reach, without tokens or a login."""

    max_body_bytes: int = _setting(32 * _MIB, 1024)
    """Limit of one request, decompressed. Larger requests are refused with 413."""
    receive_memory_bytes: int = _setting(256 * _MIB, 1024)
    """Limit of all request bodies that are being received and are not on the disk yet. Above it, requests get
    503 and `Retry-After`.
    """
    spool_max_bytes: int = _setting(512 * _MIB, 1024)
    """Limit of data that is accepted but not stored yet. Above it, requests get 503 and `Retry-After`."""
    sender_share: int = _setting(50, 1, 100)
    """Percentage of the spool that one ingest token, and one service, may fill while others send as well."""
    segment_bytes: int = _setting(32 * _MIB, 1024)
    """A segment of the spool is loaded when it reaches this size, or ..."""
    load_interval_ms: int = _setting(250, 10, 60_000)
    """... when this time has passed since its first body was written. See `rest_after` for slow inserts."""

    query_threads: int = _setting(4, 1, 64)
    query_backlog: int = _setting(64, 1)
    """Number of queries that may wait for a thread. Above it, the API answers 503."""
    live_readers: int = _setting(64, 1, 10_000)
    """Number of pages that may receive live updates at the same time. Above it, the API answers 503."""
    query_timeout: int = _setting(15, 1)
    query_memory_bytes: int = _setting(1024 * _MIB, 64 * _MIB)
    load_timeout: int = _setting(120, 1)
    load_memory_bytes: int = _setting(2048 * _MIB, 64 * _MIB)

    retention_days: int = _setting(7, 1, 3650)
    """Older spans are dropped, and refused on arrival."""
    rollup_retention_days: int = _setting(30, 1, 3650)
    retention_bytes: int = _setting(20 * 1024 * _MIB, 0)
    """Limit of the store's size. Above it the oldest days are dropped, spans before rollups; the newest day
    is kept. 0: no limit.
    """
    disk_min_free_bytes: int = _setting(1024 * _MIB, 0)
    """With less free space on the data folder's disk, requests get 503. On a small disk, a tenth of the disk.
    """

    alerts: str = ""
    """File of alert rules; without one the built-in rules are evaluated and no notification is sent."""
    public_url: str = ""
    """Base URL of the page for links in notifications; default: the address it listens on."""

    ingest_tokens: str = ""
    """File of ingest tokens, one per line; senders send one as `Authorization: Bearer`. Reloaded when it
    changes.
    """
    cors_origins: str = ""
    """Origins whose pages may send from the browser, separated by commas (`https://shop.example.com`)."""
    mask: str = ""
    """File of regular expressions, one per line. Their matches in span names and exception messages are
    stored as `***`.
    """
    users_file: str = ""
    """File of the users who may sign in, one per line, as `asgiscope-collector password NAME` prints it."""
    session_hours: int = _setting(12, 1, 720)
    """Lifetime of a session."""
    proxy_header: str = ""
    """Header in which an authenticating proxy sends the user's name (`X-Forwarded-User`); needs `proxies`."""
    proxies: str = ""
    """Networks of trusted proxies, separated by commas (`10.0.0.0/8,::1/128`). The proxy header and
    `X-Forwarded-For` are ignored from any other address. Sign-in attempts are counted by the right-most
    address of `X-Forwarded-For` that is not a trusted proxy's.
    """
    oidc_issuer: str = ""
    """An OpenID Connect provider to sign in with; register `<public_url>/api/session/oidc/callback` there."""
    oidc_client_id: str = ""
    oidc_secret_file: str = ""
    """File with the client's secret."""
    oidc_allowed: str = ""
    """Who may sign in, separated by commas: `ann@example.com`, or everybody of a domain, `@example.com`."""

    stop_seconds: int = _setting(25, 2, 3600)
    """Time from SIGTERM until the process has exited in any case; data that is not stored by then stays in
    the spool.
    """

    log_level: str = "INFO"
    log_format: str = "text"
    """`text`, or `json` for one object per line."""
    trace_to: str = ""
    """Base URL of another collector, to which this one sends traces of its own API."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value, low, high = (getattr(self, each.name), each.metadata.get("low"), each.metadata.get("high"))
            if (low is not None and value < low) or (high is not None and value > high):
                limits = f"at least {low}" if high is None else f"{low} to {high}"
                raise SettingsError(f"{_spell(each.name)} is {value}, and must be {limits}")
        if self.receive_memory_bytes < self.max_body_bytes:
            raise SettingsError(
                f"{_spell('receive_memory_bytes')} is {self.receive_memory_bytes}, and must have room for one "
                f"body: at least {_spell('max_body_bytes')}, {self.max_body_bytes}"
            )
        if self.store_address.embedded and "?" in str(self.data.absolute()):
            raise SettingsError(
                f"{_spell('data')} is {self.data}: the embedded engine cannot open a path with a question mark "
                "in it; name another folder"
            )
        if self.log_level.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise SettingsError(
                f"{_spell('log_level')} is {self.log_level!r}: write DEBUG, INFO, WARNING or ERROR"
            )
        if self.public_url and not re.fullmatch(r"https?://[^\s?#]+", self.public_url):
            raise SettingsError(
                f"{_spell('public_url')} is {self.public_url!r}: write an address as https://asgiscope.example.com"
            )
        _ = self.allowed_origins
        self._check_access()

    def _check_access(self) -> None:
        if self.proxy_header and not self.proxies:
            raise SettingsError(
                f"{_spell('proxy_header')} and {_spell('proxies')} go together: otherwise anybody "
                "may send the header"
            )
        _ = self.trusted_proxies
        oidc = (self.oidc_issuer, self.oidc_client_id, self.oidc_secret_file, self.oidc_allowed)
        if any(oidc) and not all(oidc):
            raise SettingsError(
                f"{_spell('oidc_issuer')}, client_id, secret_file and allowed go together: one of them is empty"
            )
        if self.log_format not in {"text", "json"}:
            raise SettingsError(f"{_spell('log_format')} is {self.log_format!r}: write text or json")
        if self.trace_to:
            self._check_trace_to()
        if self.loopback or self.insecure_open or (self.ingest_tokens and self.login):
            return
        raise SettingsError(
            f"--host {self.host} can be reached from other machines: name a file of tokens for the senders "
            f"({PREFIX}INGEST_TOKENS) and a login for the users ({PREFIX}USERS_FILE, OIDC_ISSUER or "
            "PROXY_HEADER), use 127.0.0.1, or --insecure-open if a firewall or a proxy protects it"
        )

    def _check_trace_to(self) -> None:
        if not re.fullmatch(r"https?://[^\s?#]+", self.trace_to):
            raise SettingsError(
                f"{_spell('trace_to')} is {self.trace_to!r}: write an address as http://host:4318"
            )
        parts = urlsplit(self.trace_to)
        near = parts.hostname in {self.host, "localhost", "127.0.0.1", "::1"}
        if near and (parts.port or (443 if parts.scheme == "https" else 80)) == self.port:
            raise SettingsError(f"{_spell('trace_to')} is this collector itself: name another")

    @property
    def login(self) -> bool:
        """Whether users have to sign in."""
        return bool(self.users_file or self.proxy_header or self.oidc_issuer)

    @property
    def trusted_proxies(self) -> list[str]:
        """The networks of `proxies`.

        Raises:
            SettingsError: one of them is not a network.
        """
        found = [each.strip() for each in self.proxies.split(",") if each.strip()]
        for each in found:
            try:
                ip_network(each)
            except ValueError as error:
                raise SettingsError(f"{_spell('proxies')}: {error}; write networks as 10.0.0.0/8") from None
        return found

    @property
    def allowed_origins(self) -> list[str]:
        """The origins of `cors_origins`.

        Raises:
            SettingsError: one of them is not an origin.
        """
        found = [each.strip() for each in self.cors_origins.split(",") if each.strip()]
        for each in found:
            if not re.fullmatch(r"https?://[^\s/?#@*]+", each):
                raise SettingsError(
                    f"{_spell('cors_origins')} has {each!r}: write origins as https://shop.example.com, "
                    "without a path or a wildcard"
                )
        return found

    @property
    def store_address(self) -> StoreAddress:
        """The parsed address of the store.

        Raises:
            SettingsError: `store` is not an address.
        """
        try:
            return StoreAddress.parse(self.store)
        except AddressError as error:
            raise SettingsError(f"{_spell('store')}: {error}") from None

    @property
    def engine_folder(self) -> Path:
        """Folder of the embedded engine."""
        return self.store_address.folder or self.data / "engine"

    @property
    def backups_folder(self) -> Path:
        """Folder where the embedded engine may write and read backups."""
        return self.data / "backups"

    @property
    def page_url(self) -> str:
        """Base URL of the page, without a trailing slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url.rstrip("/") or f"http://{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **flags: Any) -> Self:
        """Build settings from the environment; flags that are not None override it.

        Raises:
            SettingsError: a value has the wrong type or is out of its limits.
        """
        environment = os.environ if environment is None else environment
        read: dict[str, Any] = {}
        _check_names(environment, [each.name for each in fields(cls)])
        for each in fields(cls):
            text = environment.get(PREFIX + each.name.upper())
            if each.name == "port" and text is not None and text.startswith("tcp://"):
                continue  # set by Kubernetes: see _OF_KUBERNETES
            if text is not None:
                read[each.name] = _parse(each.name, text, type(each.default))
        read.update({name: value for name, value in flags.items() if value is not None})
        return cls(**read)

    def with_port(self, port: int) -> Self:
        """Return the same settings with the port that was bound (port 0 lets the system choose one)."""
        return replace(self, port=port)


_FLAGS: Final = frozenset({"host", "port", "grpc", "grpc_port", "data", "insecure_open"})
"""The settings for which `serve` has flags."""
_OF_COMMANDS: Final = frozenset({"PASSWORD"})
"""Variables that commands read and that are not settings."""
_OF_KUBERNETES: Final = re.compile(
    r"SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?"
)
"""Variables that Kubernetes adds to the environment for a service named `asgiscope-collector`."""


def _spell(name: str) -> str:
    variable = f"{PREFIX}{name.upper()}"
    return f"--{name.replace('_', '-')} ({variable})" if name in _FLAGS else variable


def _check_names(environment: Mapping[str, str], known: Sequence[str]) -> None:
    """Refuse environment variables with our prefix that are not settings: a misspelt name would have no effect.

    Raises:
        SettingsError: there is one.
    """
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX)
        if (
            name == variable
            or name.lower() in known
            or name in _OF_COMMANDS
            or _OF_KUBERNETES.fullmatch(name)
        ):
            continue
        near = get_close_matches(name.lower(), known, 1)
        meant = (
            f"write {PREFIX}{near[0].upper()}, or"
            if near
            else "see collector/STORE.md for those there are, or"
        )
        raise SettingsError(f"{variable} is no setting: {meant} unset it")


def _parse(name: str, text: str, kind: type[Any]) -> Any:
    if kind is bool:
        if text.strip().lower() in _TRUE | _FALSE:
            return text.strip().lower() in _TRUE
        raise SettingsError(f"{PREFIX}{name.upper()} is {text!r}: write 1 or 0")
    if kind is int:
        try:
            return int(text)
        except ValueError:
            raise SettingsError(f"{PREFIX}{name.upper()} is {text!r}: write a whole number") from None
    # Path("...") creates a PosixPath, so use the type of the default.
    return kind(text)
