"""Where a request comes from: the socket's peer, or whom trusted proxies name in `X-Forwarded-For`.

Anybody may send that header. What stands in it counts only as far as trusted proxies have written it: the
right-most address that is not one of theirs is the client's.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

Network = IPv4Network | IPv6Network
_IPV6_PREFIX: Final = 64
_HOPS: Final = 20
"""Addresses of a header that are looked at, from the right."""


def peer_of(scope: Scope) -> IPv4Address | IPv6Address | None:
    """Return the address at the other end of the socket; None where it has none, as a Unix socket."""
    return _parse((scope.get("client") or ("",))[0])


def is_trusted(address: IPv4Address | IPv6Address | None, proxies: Sequence[Network]) -> bool:
    """Return whether an address is one of the trusted proxies'."""
    return address is not None and any(address in network for network in proxies)


def client_of(scope: Scope, proxies: Sequence[Network]) -> str:
    """Return the client's address, for counting attempts, or ''; of IPv6 the network: one host has all of it."""
    address = peer_of(scope)
    if is_trusted(address, proxies):
        written = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        for text in list(reversed(written))[:_HOPS]:
            named = _parse(text)
            if named is None:
                break
            address = named
            if not is_trusted(named, proxies):
                break
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address or "")


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address, with a port or without; one of IPv4 that is written as one of IPv6 is of IPv4."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
