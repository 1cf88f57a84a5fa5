"""Makes the sockets of connections to configured URLs, but for those that would lead where credentials are handed out.

The address is judged when it is connected to, after all names have been looked up: what a name stood for before does not count.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Final, TypeAlias

from poller.core.addresses import forbidden

if TYPE_CHECKING:
    from collections.abc import Callable

KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
"""A peer that vanishes during a long invocation is noticed after two minutes."""

Address: TypeAlias = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]]
"""As `getaddrinfo` gives it."""


def guarded(*, allow_link_local: bool) -> Callable[[Address], socket.socket]:
    """A factory of sockets for addresses. It raises `OSError` (EACCES) for those that are forbidden."""

    def make(address: Address) -> socket.socket:
        family, kind, protocol, _, place = address
        if why := forbidden(str(place[0]), allow_link_local=allow_link_local):
            raise OSError(errno.EACCES, f"{why}: no request goes there")
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            made.setsockopt(socket.IPPROTO_TCP, option, value)
        return made

    return make
