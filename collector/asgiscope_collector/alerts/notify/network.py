"""Outgoing connections of notifications: resolve the name, check the address, connect to that address.

A name is resolved once per attempt and the connection uses the checked address, so a name that changes its
address in between (DNS rebinding) has no effect. TLS and the Host header use the name.
"""

import asyncio
import logging
import re
import socket
import ssl
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from asgiscope_collector.alerts.notify.deliver import Answer, Verdict
from asgiscope_collector.alerts.notify.receivers.common import HttpRequest
from asgiscope_collector.alerts.notify.receivers.config import Network

if TYPE_CHECKING:
    import httpx

_ANSWER_MAX: Final = 300
_BODY_READ: Final = 64 * 1024
_OK: Final = range(200, 300)
_TOO_MANY: Final = 429
_SERVER_TROUBLE: Final = range(500, 600)
_EMBEDDING: Final = tuple(map(ip_network, ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96")))
"""Networks whose last 32 bits are an address of IPv4: NAT64, compatible (RFC 4291) and translated (RFC 2765)."""
_LOOPBACK: Final = IPv6Address("::1")
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})
"""Bits 64 to 95 of an address of IPv6 that carries one of IPv4 (RFC 5214)."""
_NOT_PUBLIC: Final = tuple(
    map(
        ip_network,
        (
            *(
                "0.0.0.0/8",
                "100.64.0.0/10",
                "192.0.0.0/24",
                "192.0.2.0/24",
                "192.88.99.0/24",
                "198.18.0.0/15",
            ),
            *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
            *("::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16"),
            *("fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
        ),
    )
)
"""In addition to `is_global`, which depends on the version of Python."""
_TRANSIENT: Final = frozenset({408, 425, _TOO_MANY})

Address = IPv4Address | IPv6Address


class BlockedError(Exception):
    """`network` in the rules file does not allow this host or address."""


def quiet_libraries() -> None:
    """Keep URLs, which may contain secrets, out of the log: the HTTP libraries log them."""
    for name in ("httpx", "httpcore", "aiosmtplib"):
        logging.getLogger(name).setLevel(logging.WARNING)


async def resolve(host: str, port: int, network: Network) -> list[str]:
    """Return the addresses of a host that may be connected to.

    Raises:
        BlockedError: the host, or each of its addresses, is not allowed.
        OSError: the name cannot be resolved.
    """
    if network.allowed_hosts and not any(_like(name, host) for name in network.allowed_hosts):
        raise BlockedError(f"{host} is not among network.allowed_hosts")
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    allowed = [address for address in addresses if is_allowed(address, network)]
    if not allowed:
        raise BlockedError(
            f"{host} has the address {addresses[0]}, which is not public: add its network to network.allow_private"
        )
    return allowed


def is_allowed(address: str, network: Network) -> bool:
    """Return whether an address is public, or in one of the allowed networks."""
    every = [ip_address(address.partition("%")[0])]
    every += _within(every[0])
    allowed = [ip_network(each) for each in network.allow_private]
    return all(
        _is_public(each) or any(each.version == net.version and each in net for net in allowed)
        for each in every
    )


def _is_public(address: Address) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not any(address.version == net.version and address in net for net in _NOT_PUBLIC)
    )


async def post(
    request: HttpRequest, *, seconds: float, network: Network, context: ssl.SSLContext, secrets: Sequence[str]
) -> Answer:
    """Send one request. `secrets` are removed from the reported outcome."""
    # Imported on the first send: httpx takes long to import, and few collectors send much.
    import httpx  # noqa: PLC0415 - see above

    began = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            answer = await _post(request, seconds, network, context)
    except TimeoutError:
        answer = Answer(Verdict.RETRY, 0, f"no answer within {seconds:g} s")
    except BlockedError as error:
        answer = Answer(Verdict.REFUSED, 0, str(error))
    except (httpx.InvalidURL, UnicodeError):
        answer = Answer(Verdict.REFUSED, 0, "the receiver's URL is none")
    except (httpx.HTTPError, OSError) as error:
        answer = Answer(Verdict.RETRY, 0, f"{type(error).__name__}: {error}".rstrip(": "))
    return Answer(
        answer.verdict,
        answer.status,
        scrub(answer.text, secrets),
        answer.retry_after,
        round((time.monotonic() - began) * 1000),
    )


def scrub(text: str, secrets: Sequence[str]) -> str:
    """Return a text without secrets and control characters, shortened."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return text if len(text) <= _ANSWER_MAX else text[: _ANSWER_MAX - 3] + "..."


async def _post(request: HttpRequest, seconds: float, network: Network, context: ssl.SSLContext) -> Answer:
    import httpx  # noqa: PLC0415 - as in `post`

    parts = urlsplit(request.url)
    host = parts.hostname
    if parts.scheme not in {"http", "https"} or not host:
        raise httpx.InvalidURL("no http or https URL")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    addresses = await resolve(host, port, network)
    shown = f"[{host}]" if ":" in host else host
    headers = {
        "User-Agent": "asgiscope-collector",
        "Accept-Encoding": "identity",
        "Host": shown if parts.port is None else f"{shown}:{parts.port}",
        **request.headers,
    }
    async with httpx.AsyncClient(
        verify=context, timeout=seconds, follow_redirects=False, trust_env=False
    ) as client:
        for address in addresses:
            url = httpx.URL(request.url).copy_with(host=address, userinfo=b"")
            try:
                async with client.stream(
                    "POST",
                    url,
                    content=request.body,
                    headers=headers,
                    auth=request.auth,
                    extensions={"sni_hostname": host},
                ) as response:
                    return await _read(response)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if address == addresses[-1]:
                    raise
    raise AssertionError("there is an address, or resolve() raises")


async def _read(response: "httpx.Response") -> Answer:
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) >= _BODY_READ:
            break
    status = response.status_code
    text = f"{status} {response.reason_phrase}".rstrip()
    if status in _OK:
        return Answer(Verdict.DELIVERED, status, text)
    if 300 <= status < 400:  # noqa: PLR2004 - the statuses of redirects
        return Answer(
            Verdict.REFUSED, status, f"{text}: redirects are not followed; write the address it has"
        )
    text = f"{text}: {body[: _ANSWER_MAX * 2].decode('utf-8', 'replace')}".rstrip(": ")
    if status in _SERVER_TROUBLE or status in _TRANSIENT:
        return Answer(Verdict.RETRY, status, text, _retry_after(response.headers.get("retry-after", "")))
    return Answer(Verdict.REFUSED, status, text)


def _retry_after(text: str) -> float | None:
    """Parse `Retry-After`: seconds or an HTTP date; None for anything else."""
    if re.fullmatch(r"\d{1,9}", text.strip()):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _within(address: Address) -> list[Address]:
    """Return the IPv4 addresses that an IPv6 address contains."""
    if isinstance(address, IPv4Address):
        return []
    found: list[Address] = [each for each in (address.ipv4_mapped, address.sixtofour) if each is not None]
    if address.teredo is not None:
        found += address.teredo
    number = int(address)
    if address == _LOOPBACK:
        return found
    if any(address in network for network in _EMBEDDING) or number >> 32 & 0xFFFFFFFF in _ISATAP:
        found.append(IPv4Address(number & 0xFFFFFFFF))
    return found


def _like(name: str, host: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in name.lower().split("*"))
    return re.fullmatch(pattern, host.lower()) is not None
