"""The client's address: the socket's peer, or the one that trusted proxies give in `X-Forwarded-For`.

Anybody may send that header. Only the part written by trusted proxies counts: the client's address is the
right-most one that does not belong to a trusted proxy.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

Network = IPv4Network | IPv6Network
_IPV6_PREFIX: Final = 64
_HOPS: Final = 20
"""Number of addresses in the header that are examined, from the right."""


def peer_of(scope: Scope) -> IPv4Address | IPv6Address | None:
    """Return the address of the socket's peer; None if it has no IP address, as on a Unix socket."""
    return _parse((scope.get("client") or ("",))[0])


def is_trusted(address: IPv4Address | IPv6Address | None, proxies: Sequence[Network]) -> bool:
    """Return whether an address belongs to a trusted proxy."""
    return address is not None and any(address in network for network in proxies)


def client_of(scope: Scope, proxies: Sequence[Network]) -> str:
    """Return the client's address for rate limits, or ''; for IPv6 the network, because one host owns all of it."""
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
    """Parse an address with or without a port; an IPv4-mapped IPv6 address is returned as IPv4."""
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
