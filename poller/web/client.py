"""Sessions for requests to one URL and nowhere else.

No redirect is followed, no proxy of the environment used, no cookie kept, and no connection made to an address where clouds hand
out credentials, whatever the host's name stands for today.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

import aiohttp

from poller import __version__
from poller.errors import ConfigError
from poller.web.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

IDLE_SECONDS: Final = 1.0
"""An idle connection is closed so soon because the other side closes it too, at a time of its own: a request that it has not seen
and one that it has taken and died over look the same from here, and must not be sent twice."""

NAMES_SECONDS: Final = 10
"""What the DNS said is believed for so long."""


def session(
    headers: Mapping[str, str], context: ssl.SSLContext | None, *, allow_link_local: bool, connections: int
) -> aiohttp.ClientSession:
    """A session whose requests carry these headers; `context`: how servers are checked, of https."""
    connector = aiohttp.TCPConnector(
        limit=connections,
        ttl_dns_cache=NAMES_SECONDS,
        keepalive_timeout=IDLE_SECONDS,
        ssl=context or True,
        socket_factory=guarded(allow_link_local=allow_link_local),
    )
    return aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": f"poller/{__version__}", "Accept-Encoding": "identity", **headers},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


def tls(ca_file: Path | None) -> ssl.SSLContext:
    """How servers are checked. Raises `ConfigError` where the file is of no use."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:  # `SSLError` is an `OSError`
        raise ConfigError(f"ca_file {ca_file}: no certificates can be read from it: {error}") from error


def described(error: Exception) -> str:
    """What went wrong with a connection, on one line."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    text = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return f"{type(error).__name__}: {' '.join(text.split())[:300]}" if text else type(error).__name__
