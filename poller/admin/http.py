"""The daemon's HTTP listener: `/metrics`, `/livez`, `/readyz`, `/startupz`, `/status`, and a page. Read-only; on loopback."""

from __future__ import annotations

import asyncio
import gzip
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Self

import orjson
from aiohttp import web

from poller.admin.page import page
from poller.admin.status import Board
from poller.errors import ConfigError
from poller.observe.logs import logger
from poller.observe.metrics import CLASSIC, OPENMETRICS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from poller.admin.health import Health
    from poller.observe.metrics import Metrics

    Handler = Callable[[web.BaseRequest], Awaitable[web.Response]]

DEFAULT_LISTEN = "127.0.0.1:9108"
GZIP_FROM_BYTES = 4096
SHUTDOWN_SECONDS = 2.0
KEEPALIVE_SECONDS = 75.0
HEADERS = {
    "Server": "poller",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
}


class AdminServer:
    """Serves while it is entered. Raises `ConfigError` where it cannot listen."""

    def __init__(self, listen: str, metrics: Metrics, health: Health, board: Board | None = None) -> None:
        self._address = parse_listen(listen)
        self._metrics = metrics
        self._health = health
        self._board = board or Board()
        self._renderer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="poller-metrics")
        self._pages: dict[str, Handler] = {
            "/": self._index,
            "/metrics": self._scrape,
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/startupz": self._startupz,
            "/status": self._status,
        }

    @property
    def port(self) -> int:
        """Where it listens; tells what port 0 became."""
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        host, port = self._address
        loop = asyncio.get_running_loop()
        self._connections = web.Server(self._answer)
        try:
            self._listener = await loop.create_server(lambda: _Connection.of(self._connections, loop), host, port)
        except OSError as error:
            raise _cannot_listen(host, port, error) from error
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._listener.close()
        self._connections.pre_shutdown()  # ends what is idle at once; the rest has a moment to finish
        await self._connections.shutdown(SHUTDOWN_SECONDS)
        await self._listener.wait_closed()
        self._renderer.shutdown(wait=False)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        page = self._pages.get(request.path)
        if page is None:
            return _text("not found", status=404)
        if request.method not in ("GET", "HEAD"):
            response = _text("method not allowed", status=405)
            response.headers["Allow"] = "GET, HEAD"
            return response
        return await page(request)

    async def _scrape(self, request: web.BaseRequest) -> web.Response:
        """The snapshot is taken here, on the loop; the text is made in a thread, one at a time."""
        openmetrics = "application/openmetrics-text" in _accepted(request, "Accept")
        zipped = "gzip" in _accepted(request, "Accept-Encoding")
        self._metrics.ready(ready=self._health.ready)
        self._metrics.snapshot()
        render = partial(_render, self._metrics, openmetrics=openmetrics, zipped=zipped)
        loop = asyncio.get_running_loop()
        body, encoding = await loop.run_in_executor(self._renderer, render)
        content_type = OPENMETRICS if openmetrics else CLASSIC
        headers = HEADERS | {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"} | encoding
        return web.Response(body=body, headers=headers)

    async def _index(self, _request: web.BaseRequest) -> web.Response:
        """For people: what `/status` says, and where the other pages are."""
        document = await self._board.document()
        text = await asyncio.get_running_loop().run_in_executor(self._renderer, page, document)
        return web.Response(text=text, content_type="text/html", charset="utf-8", headers=HEADERS)

    async def _livez(self, _request: web.BaseRequest) -> web.Response:
        return _text("ok")

    async def _readyz(self, _request: web.BaseRequest) -> web.Response:
        return self._checks("ready", passed=self._health.ready)

    async def _startupz(self, _request: web.BaseRequest) -> web.Response:
        return self._checks("started", passed=self._health.started)

    async def _status(self, request: web.BaseRequest) -> web.Response:
        """As the board has it, in JSON; written in the thread, as it may be long."""
        document = await self._board.document()
        if document is None:
            return _text("starting", status=503)
        zipped = "gzip" in _accepted(request, "Accept-Encoding")
        loop = asyncio.get_running_loop()
        body, encoding = await loop.run_in_executor(self._renderer, partial(_packed_json, document, zipped=zipped))
        headers = HEADERS | {"Content-Type": "application/json", "Vary": "Accept-Encoding"} | encoding
        return web.Response(body=body, headers=headers)

    def _checks(self, word: str, *, passed: bool) -> web.Response:
        lines = [*self._health.report(), word if passed else f"not {word}"]
        return _text("\n".join(lines), status=200 if passed else 503)


class _Connection(web.RequestHandler):
    """A connection that answers a malformed request without a traceback in the log, and without telling the server's version."""

    __slots__ = ()

    @classmethod
    def of(cls, server: web.Server, loop: asyncio.AbstractEventLoop) -> Self:
        return cls(server, loop=loop, keepalive_timeout=KEEPALIVE_SECONDS)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's signature; it may quote the request
    ) -> web.StreamResponse:
        """What aiohttp calls for a request that it cannot parse, and for an exception of ours."""
        if exc is not None and status >= web.HTTPInternalServerError.status_code:
            logger().error("admin_failed", path=request.path, exc_info=exc)
        response = _text(f"{status}", status=status)
        response.force_close()
        return response


def parse_listen(listen: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, with an IPv6 address in brackets; port 0 lets the system choose. Raises `ConfigError`."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004 - TCP's own limit
        raise ConfigError(f'http.listen "{listen}": write HOST:PORT, for example "{DEFAULT_LISTEN}" (this machine only)')
    return host.removeprefix("[").removesuffix("]"), int(port)


def _cannot_listen(host: str, port: int, error: OSError) -> ConfigError:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return ConfigError(f"http.listen {where}: {error.strerror or error}; choose another address or port, or end what uses it")


def _render(metrics: Metrics, *, openmetrics: bool, zipped: bool) -> tuple[bytes, dict[str, str]]:
    """The page and the headers of its encoding. Runs in a thread."""
    return _packed(metrics.render(openmetrics=openmetrics), zipped=zipped)


def _packed_json(document: dict[str, object], *, zipped: bool) -> tuple[bytes, dict[str, str]]:
    """The same of a document."""
    return _packed(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE), zipped=zipped)


def _packed(body: bytes, *, zipped: bool) -> tuple[bytes, dict[str, str]]:
    if not zipped or len(body) < GZIP_FROM_BYTES:
        return body, {}
    return gzip.compress(body, compresslevel=1), {"Content-Encoding": "gzip"}


def _accepted(request: web.BaseRequest, header: str) -> set[str]:
    """What the client names in such a header, but for what it refuses with q=0."""
    accepted = set()
    for item in ",".join(request.headers.getall(header, [])).split(","):
        name, *parameters = [part.strip().lower() for part in item.split(";")]
        if not any(part.startswith("q=") and not part[2:].strip("0.") for part in parameters):
            accepted.add(name)
    return accepted


def _text(text: str, *, status: int = 200) -> web.Response:
    return web.Response(text=f"{text}\n", status=status, headers=HEADERS)
