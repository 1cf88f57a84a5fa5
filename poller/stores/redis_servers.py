"""Where a Redis store's URL leads: a server, the master that Sentinels name, or a socket of this host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from redis.asyncio import Connection, ConnectionPool, Redis, Sentinel, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff

from poller.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from redis.asyncio.connection import AbstractConnection

PATIENCE = 3.0
"""Seconds for one exchange with the server, connecting included; then the server counts as silent."""

SENTINEL_PATIENCE = 0.8
"""Seconds for one Sentinel: the others must have their turn within `PATIENCE`."""

SERVER_PORT = 6379
SENTINEL_PORT = 26379

SCHEMES: Final = ("redis", "rediss", "redis+sentinel", "rediss+sentinel", "unix")
"""What a URL may begin with; `rediss` is TLS."""

_ESCAPES = "in a password write %40 for @, %3A for :, %2F for /, %3F for ?, %23 for #"

Options = dict[str, object]
"""Keyword arguments of a connection of redis-py."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Makes connections to whatever server the URL means at the time. redis-py neither waits nor tries again: that is ours."""

    pool: ConnectionPool
    sentinels: tuple[Redis, ...] = ()

    def connection(self) -> AbstractConnection:
        """A new one, not connected yet; it can be connected again and again, and asks the Sentinels each time."""
        made: AbstractConnection = self.pool.make_connection()  # type: ignore[no-untyped-call]
        return made

    async def close(self) -> None:
        """Closes the connections to the Sentinels. Those that were made are their makers' to close."""
        for sentinel in self.sentinels:
            await sentinel.aclose()


def servers(url: str) -> Servers:
    """The servers behind a URL. Connects to nobody; raises `ConfigError` where the URL can never work as it is."""
    try:
        return _servers(urlsplit(url))
    except _Mistake as mistake:
        raise ConfigError(f"store {shown(url)}: {mistake}") from None
    except ValueError:  # its text may hold a part of the password
        raise ConfigError(f"store {shown(url)}: this is no URL: {_ESCAPES}") from None


def shown(url: str) -> str:
    """The URL for people to read: without user, password and parameters."""
    return re.sub(r"(?<=://).*@", "***@", url, flags=re.DOTALL).partition("?")[0]


class _Mistake(ValueError):
    """What is wrong with a URL, and what to write instead; no part of it that may be secret."""


def _servers(parts: SplitResult) -> Servers:
    if parts.scheme not in SCHEMES:
        raise _Mistake(f"it must begin with one of {', '.join(SCHEMES)}")
    if parts.fragment:
        raise _Mistake(f'it cannot hold "#": {_ESCAPES}')
    if parts.scheme == "unix":
        return _socket(parts)
    return _behind_sentinels(parts) if parts.scheme.endswith("+sentinel") else _server(parts)


def _server(parts: SplitResult) -> Servers:
    host, port = _address(_hosts(parts), SERVER_PORT)
    place = {"host": host, "port": port, "db": _database(parts.path.removeprefix("/"))}
    kind = SSLConnection if parts.scheme == "rediss" else Connection
    return Servers(pool=_pool(_over_tcp(parts), connection_class=kind, **place))


def _socket(parts: SplitResult) -> Servers:
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    database = _database(parameters.pop("db", ""))
    if parameters or len(parts.path) <= 1 or _hosts(parts):
        raise _Mistake("write unix:///PATH, the absolute path of the server's socket, and ?db=NUMBER for another database than 0")
    path = unquote(parts.path)
    return Servers(pool=_pool(_common(parts), connection_class=UnixDomainSocketConnection, path=path, db=database))


def _behind_sentinels(parts: SplitResult) -> Servers:
    addresses = [_address(text, SENTINEL_PORT) for text in _hosts(parts).split(",")]
    service, _, database = parts.path.removeprefix("/").partition("/")
    if not service:
        raise _Mistake("which master the Sentinels are asked for is missing: write HOST:PORT,HOST:PORT/SERVICE")
    options = _over_tcp(parts) | {"ssl": parts.scheme.startswith("rediss")}
    asking = options | {"socket_timeout": SENTINEL_PATIENCE, "socket_connect_timeout": SENTINEL_PATIENCE}
    if "password" in asking:  # a Sentinel has no other user; one that has no password takes any from this one
        asking["username"] = "default"
    sentinel = Sentinel(addresses, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    pool = SentinelConnectionPool(unquote(service), sentinel, db=_database(database), **options)  # type: ignore[no-untyped-call]
    return Servers(pool=pool, sentinels=tuple(sentinel.sentinels))


def _pool(options: Options, **more: object) -> ConnectionPool:
    return ConnectionPool(**options, **more)  # type: ignore[arg-type]


def _common(parts: SplitResult) -> Options:
    """RESP 2 has all that we need, and spares a connection further handshakes."""
    credentials = {"username": parts.username, "password": parts.password}
    return {
        "protocol": 2,
        "socket_timeout": None,  # the whole exchange is timed, which is cheaper than each answer
        "socket_connect_timeout": PATIENCE,
        "retry": Retry(NoBackoff(), 0),
        **{name: unquote(value) for name, value in credentials.items() if value},
    }


def _over_tcp(parts: SplitResult) -> Options:
    tls = _tls(parts) if parts.scheme.startswith("rediss") else _no_parameters(parts)
    return {"socket_keepalive": True, **_common(parts), **tls}


def _no_parameters(parts: SplitResult) -> Options:
    if parts.query:
        raise _Mistake("only rediss://, which is TLS, takes parameters")
    return {}


def _tls(parts: SplitResult) -> Options:
    given = parse_qsl(parts.query, keep_blank_values=True)
    if not {name for name, _ in given} <= _TLS.keys():
        raise _Mistake(f"its parameters can be {', '.join(_TLS)}")
    return {name: _TLS[name](name, value) for name, value in given}


def _file(name: str, value: str) -> str:
    if not Path(value).is_file():
        raise _Mistake(f"{name}: there is no file {value}")
    return value


def _check(name: str, value: str) -> str:
    if value not in {"none", "optional", "required"}:
        raise _Mistake(f"{name} must be none, optional or required")
    return value


def _flag(name: str, value: str) -> bool:
    if value.lower() not in {"true", "false"}:
        raise _Mistake(f"{name} must be true or false")
    return value.lower() == "true"


_TLS: Final[Mapping[str, Callable[[str, str], object]]] = {
    "ssl_ca_certs": _file,
    "ssl_certfile": _file,
    "ssl_keyfile": _file,
    "ssl_cert_reqs": _check,
    "ssl_check_hostname": _flag,
}
"""The parameters of a URL, named and meant as redis-py does; none of them is secret."""


def _hosts(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _address(text: str, port: int) -> tuple[str, int]:
    try:
        found = urlsplit(f"//{text}")
        host, port = found.hostname, found.port or port
    except ValueError:
        host = None
    if not host or "," in host:
        raise _Mistake(f"a host is missing, or its port is no number: {_ESCAPES}")
    return host, port


def _database(text: str) -> int:
    if not re.fullmatch(r"[0-9]{0,6}", text):
        raise _Mistake("the database must be a number")
    return int(text or 0)
