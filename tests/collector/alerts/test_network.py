"""Where messages may go: addresses that are not public, names that change, hosts that are not listed."""

import asyncio
import socket
from typing import Any

import pytest
from asgiscope_collector.alerts.notify.network import BlockedError, is_allowed, resolve
from asgiscope_collector.alerts.notify.receivers.config import Network


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - an address that is asked about
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b:1::7f00:1",
        "2001:0:7f00:1::",
        "2606:2800:220:1:0:5efe:127.0.0.1",
        "2606:2800:220:1:200:5efe:10.0.0.1",
        "fec0::1",
        "100::1",
        "2001:db8::1",
        "3fff::1",
        "192.0.0.8",
        "192.88.99.1",
        "198.18.0.1",
        "203.0.113.1",
        "240.0.0.1",
    ],
)
def test_addresses_that_are_not_public_are_blocked(address: str) -> None:
    """Whatever form they have, until the rules allow their network."""
    assert not is_allowed(address, Network())


def test_public_addresses_are_allowed() -> None:
    """Of both families."""
    assert is_allowed("93.184.215.14", Network())
    assert is_allowed("2606:2800:220:1::1", Network())
    assert is_allowed("64:ff9b::5db8:d70e", Network())
    assert is_allowed("::1", Network(allow_private=["::1/128"]))


def test_a_network_that_is_allowed_is_no_other() -> None:
    """Only what is listed."""
    network = Network(allow_private=["10.0.0.0/8", "fd00::/8"])
    assert is_allowed("10.1.2.3", network)
    assert is_allowed("fd00::5", network)
    assert not is_allowed("127.0.0.1", network)
    assert not is_allowed("::ffff:10.1.2.3", network), "an IPv4 address in IPv6 must be allowed as both"


def test_unlisted_hosts_are_refused_before_they_are_resolved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No name is resolved for them; a star does not reach further than it says."""
    asked: list[str] = []

    def getaddrinfo(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", 443))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    network = Network(allowed_hosts=["hooks.slack.com", "*.example.com"])
    assert asyncio.run(resolve("a.example.com", 443, network)) == ["93.184.215.14"]
    for host in ("example.com", "hooks.slack.com.evil.net", "a.example.com.evil.net"):
        with pytest.raises(BlockedError, match="not among"):
            asyncio.run(resolve(host, 443, network))
    assert asked == ["a.example.com"]


def test_a_name_with_a_private_address_is_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The public one of its addresses is used; without one it says what to allow."""

    def getaddrinfo(_host: str, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    addresses = ["169.254.169.254", "93.184.215.14"]
    assert asyncio.run(resolve("x.example", 443, Network())) == ["93.184.215.14"]
    addresses = ["169.254.169.254"]
    with pytest.raises(BlockedError, match=r"network\.allow_private"):
        asyncio.run(resolve("x.example", 443, Network()))
