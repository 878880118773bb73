"""The store's address: `chdb://` for the embedded engine, or `clickhouse://` for a server or a cluster."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

_EMBEDDED: Final = "chdb"
_PLAIN: Final = {"clickhouse", "http"}
_SECURE: Final = {"clickhouses", "https"}
_PORT: Final = 8123
_SECURE_PORT: Final = 8443
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_TRUE: Final = {"1", "true"}
_FALSE: Final = {"0", "false"}
_OPTIONS: Final = ("adopt", "cluster", "secure", "verify", "ca_cert", "password_file")
_FORM: Final = "write chdb:///folder, or clickhouse://user:password@host:port/database"


class AddressError(ValueError):
    """A store's address is invalid; the message never contains the password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAddress:
    """A parsed `ASGISCOPE_COLLECTOR_STORE`. `host` is '' for the embedded engine."""

    folder: Path | None = None
    """Folder of the embedded engine; None for the default one in the data folder."""
    host: str = ""
    port: int = 0
    username: str = "default"
    password: str = field(default="", repr=False)
    database: str = "default"
    secure: bool = False
    verify: bool = True
    """Verify the server's certificate."""
    ca_cert: str = ""
    """File of CA certificates to trust in addition to the system's."""
    cluster: str = ""
    adopt: bool = False
    """Adopt a span table that another program created; see store/adopt.py."""

    @property
    def embedded(self) -> bool:
        """Whether the engine runs in this process."""
        return not self.host

    def __str__(self) -> str:
        """Return the address without the password, for logs and messages."""
        if self.embedded:
            return f"chdb://{self.folder or ''}"
        scheme = "clickhouses" if self.secure else "clickhouse"
        cluster = f"?cluster={self.cluster}" if self.cluster else ""
        return f"{scheme}://{self.username}@{self.host}:{self.port}/{self.database}{cluster}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an address.

        `clickhouse://user:password@host:port/database?cluster=name&secure=1&verify=0&ca_cert=file`; the port
        is that of ClickHouse's HTTP interface. `password_file` names a file that holds the password, for
        deployments that keep secrets out of the environment. `https://` and `clickhouses://` imply secure=1.

        Raises:
            AddressError: the address is invalid, or the password's file cannot be read.
        """
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise AddressError(f"the port is not a number from 1 to 65535: {_FORM}") from error
        if parts.scheme == _EMBEDDED:
            if parts.netloc or parts.query:
                raise AddressError(
                    "chdb:// takes a folder and nothing else: write chdb:///folder, with three slashes"
                )
            return cls(folder=Path(unquote(parts.path)) if parts.path.strip("/") else None)
        if parts.scheme not in _PLAIN | _SECURE:
            raise AddressError(f"{parts.scheme or 'no scheme'}:// is no store: {_FORM}")
        if not parts.hostname:
            raise AddressError(f"there is no host in it: {_FORM}")
        options = _options(parts.query)
        secure = _flag(options, "secure", default=parts.scheme in _SECURE)
        address = cls(
            host=parts.hostname,
            port=port or (_SECURE_PORT if secure else _PORT),
            username=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            database=unquote(parts.path.strip("/")) or "default",
            secure=secure,
            verify=_flag(options, "verify", default=True),
            ca_cert=options.get("ca_cert", ""),
            cluster=options.get("cluster", ""),
            adopt=_flag(options, "adopt", default=False),
        )
        for name in (address.database, address.cluster or "default"):
            # Both names are used in DDL, which takes no bound parameters.
            if not _NAME.fullmatch(name):
                raise AddressError(f"{name!r} is not a name of letters, digits, _ and -")
        if file := options.get("password_file"):
            return replace(address, password=_read(file))
        return address


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := options.keys() - set(_OPTIONS):
        raise AddressError(f"{min(unknown)!r} is no option of a store: there are {', '.join(_OPTIONS)}")
    return options


def _flag(options: dict[str, str], name: str, *, default: bool) -> bool:
    text = options.get(name, "").lower()
    if not text:
        return default
    if text in _TRUE | _FALSE:
        return text in _TRUE
    raise AddressError(f"{name} is {text!r}: write 1 or 0")


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise AddressError(f"the password cannot be read from {file}: {error.strerror}") from error
