"""Whose process is at the other end of a TCP connection on this machine."""

from __future__ import annotations

import errno
import socket
import struct

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 1

HEADER = struct.Struct("=IHHII")
"""Of a netlink message: size, type, flags, sequence number, port."""

QUERY = struct.Struct("=BBBxI4s4s12x4s12xI8s")
"""Family, protocol, extensions, states; ports, addresses, interface and cookie of one socket."""

USER = 64
"""Where in the answer its user id is."""

ANY_STATE = 0xFFFFFFFF
ANY_COOKIE = b"\xff" * 8


def user_of_peer(connection: socket.socket) -> int | None:
    """The user whose process holds the other end of an IPv4 connection of this machine with itself.

    -1 where that process has closed it meanwhile. None where the kernel does not tell: one without `inet_diag`, or a sandbox that
    forbids to ask. (/proc/net/tcp has it as well, but reading that takes milliseconds.)
    """
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG) as netlink:
            netlink.settimeout(0)
            netlink.send(_query(connection.getpeername(), connection.getsockname()))
            answer = netlink.recv(4096)
    except OSError:
        return None
    _, kind, *_ = HEADER.unpack_from(answer)
    if kind != SOCK_DIAG_BY_FAMILY:
        return _without_answer(answer)
    user, inode = struct.unpack_from("=II", answer, HEADER.size + USER)
    return user if inode else -1


def _query(source: tuple[str, int], destination: tuple[str, int]) -> bytes:
    """Asks for one socket: the one whose own address is `source`."""
    ports = struct.pack(">HH", source[1], destination[1])
    addresses = (socket.inet_aton(source[0]), socket.inet_aton(destination[0]))
    body = QUERY.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, ANY_STATE, ports, *addresses, 0, ANY_COOKIE)
    return HEADER.pack(HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0) + body


def _without_answer(answer: bytes) -> int | None:
    """What an error of the kernel's means: there is no such socket, or it does not know how to look."""
    (number,) = struct.unpack_from("=i", answer, HEADER.size)
    return -1 if -number == errno.ENOENT else None
