"""Arrival times from the kernel: when a connection received its last bytes, however late the process reads them.

Linux keeps that time for every TCP socket (`tcp_info.tcpi_last_data_recv`, in ms, with the precision of the
kernel's tick: at most 10 ms). It is read from the server's own socket if the server exposes it, else from the
kernel's socket diagnostics (`sock_diag(7)`) by the addresses in the ASGI scope. Known limitations: Linux
only, no Unix sockets; behind a proxy whose `X-Forwarded-For` replaces the address, only if the server exposes
its socket (uvicorn does).
"""

import socket
import struct
import sys
from ipaddress import ip_address
from typing import Any, Final

TICK_NS: Final = 10_000_000
"""Precision of the kernel's time."""
_TCP_INFO: Final = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
_LAST_DATA_RECV: Final = 8 + 11 * 4
"""Offset in `struct tcp_info` (linux/tcp.h): eight bytes, then four-byte integers, of which it is the
twelfth.
"""
_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_INET_DIAG_INFO: Final = 2
_HEADERS: Final = 16 + 72
"""Header size of an answer: `struct nlmsghdr` and `struct inet_diag_msg`; attributes follow."""


def age_of_last_bytes(scope: dict[str, Any], receive: object) -> int | None:
    """Return how long ago the connection of an ASGI request received its last bytes, in ns; None if unknown."""
    if _TCP_INFO is None:
        return None
    try:
        info = _of_socket(receive) or _of_addresses(scope.get("client"), scope.get("server"))
    except (OSError, ValueError, TypeError, AttributeError, LookupError, struct.error):
        return None
    if info is None or len(info) < _LAST_DATA_RECV + 4:
        return None
    (milliseconds,) = struct.unpack_from("=I", info, _LAST_DATA_RECV)
    return int(milliseconds) * 1_000_000


def _of_socket(receive: object) -> bytes | None:
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None or _TCP_INFO is None:
        return None
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return None
    return bytes(connection.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 104))


def _of_addresses(client: Any, server: Any) -> bytes | None:
    """Ask `sock_diag` for the socket with these addresses. Granian passes ports as text."""
    if not client or not server or not client[1] or not server[1]:
        return None
    our_port, their_port = int(server[1]), int(client[1])
    ours, theirs = ip_address(server[0]), ip_address(client[0])
    family = socket.AF_INET if ours.version == 4 else socket.AF_INET6  # noqa: PLR2004 - IP versions
    # struct inet_diag_sockid: ports, addresses of sixteen bytes, interface, cookie (any).
    identity = (
        struct.pack(">HH", our_port, their_port)
        + ours.packed.ljust(16, b"\0")
        + theirs.packed.ljust(16, b"\0")
        + struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
    )
    asked = (
        struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 1 << (_INET_DIAG_INFO - 1), 0xFFFFFFFF) + identity
    )
    header = struct.pack("=IHHII", 16 + len(asked), _SOCK_DIAG_BY_FAMILY, 1, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as netlink:
        netlink.settimeout(0.01)
        netlink.send(header + asked)
        answer = netlink.recv(4096)
    if struct.unpack_from("=H", answer, 4)[0] != _SOCK_DIAG_BY_FAMILY:
        return None
    at = _HEADERS
    while at + 4 <= len(answer):
        length, kind = struct.unpack_from("=HH", answer, at)
        if kind == _INET_DIAG_INFO:
            return answer[at + 4 : at + length]
        at += max((length + 3) & ~3, 4)
    return None
