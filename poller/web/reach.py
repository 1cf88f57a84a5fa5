"""Whether somebody takes connections, with the same rules as for a request, and without one."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from poller.web.guard import guarded

if TYPE_CHECKING:
    import ssl


async def reach(host: str, port: int, tls: ssl.SSLContext | None, *, allow_link_local: bool) -> None:
    """Connects to each address that the name stands for until one answers, and hangs up. Raises `OSError` where none does."""
    loop = asyncio.get_running_loop()
    make, trouble = guarded(allow_link_local=allow_link_local), OSError("the name stands for no address")
    for address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            await _connect(make(address), address[4], tls, host)
        except OSError as error:  # `SSLError` is one
            trouble = error
        else:
            return
    raise trouble


async def _connect(made: socket.socket, place: tuple[object, ...], tls: ssl.SSLContext | None, host: str) -> None:
    with made:
        made.setblocking(False)  # noqa: FBT003 - the standard library's signature
        await asyncio.get_running_loop().sock_connect(made, place)
        if tls is not None:
            _, writer = await asyncio.open_connection(sock=made, ssl=tls, server_hostname=host)
            writer.close()
            await writer.wait_closed()
