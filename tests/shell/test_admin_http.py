"""The HTTP listener over real sockets: health pages, what it refuses, and where it listens."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from support.observing import HandClock
from support.site import Site

from poller.admin import http
from poller.admin.health import Health
from poller.admin.http import AdminServer, parse_listen
from poller.errors import ConfigError
from poller.observe.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    async with site.server:
        yield site


async def test_livez_is_ok_whatever_the_world_does(site: Site) -> None:
    site.health.failed("store", "not answering")
    site.health.drain()
    response, text = await site.get("/livez")
    assert (response.status, text) == (200, "ok\n")


async def test_readyz_lists_the_checks_and_fails_with_any_of_them(site: Site) -> None:
    site.health.passed("config")
    site.health.failed("store", "not answering")
    site.clock.now += 12
    response, text = await site.get("/readyz")
    assert response.status == 503
    assert text == "[+]config ok\n[-]store not answering since 12 s\nnot ready\n"
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    site.health.passed("store")
    response, text = await site.get("/readyz")
    assert (response.status, text) == (200, "[+]config ok\n[+]store ok\nready\n")


async def test_a_draining_daemon_is_not_ready_but_stays_started(site: Site) -> None:
    site.health.passed("config")
    site.health.passed("store")
    site.health.drain()
    assert (await site.get("/readyz"))[0].status == 503
    response, text = await site.get("/startupz")
    assert response.status == 200
    assert text == "[+]config ok\n[+]store ok\n[-]draining since 0 s\nstarted\n"


async def test_startupz_fails_until_everything_worked_once_and_never_again(site: Site) -> None:
    response, text = await site.get("/startupz")
    assert response.status == 503
    assert text.endswith("not started\n")
    site.health.passed("config")
    site.health.passed("store")
    site.health.failed("store", "not answering")
    assert (await site.get("/startupz"))[0].status == 200


async def test_the_index_links_to_everything(site: Site) -> None:
    response, text = await site.get("/")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    for path in ("/status", "/metrics", "/livez", "/readyz", "/startupz"):
        assert f'href="{path}"' in text
        assert (await site.get(path))[0].status in {200, 503}


@pytest.mark.parametrize("path", ["/metrics/", "/nothing", "/../etc/passwd", "/livez/x", "//metrics"])
async def test_an_unknown_path_is_not_found(site: Site, path: str) -> None:
    assert (await site.raw(f"GET {path} HTTP/1.0\r\n\r\n".encode())).startswith(b"HTTP/1.0 404 ")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/status", "/metrics", "/livez", "/readyz", "/startupz"])
async def test_nothing_but_reading_is_allowed(site: Site, method: str, path: str) -> None:
    response, _ = await site.get(path, method)
    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD"


async def test_head_answers_without_a_body(site: Site) -> None:
    response, text = await site.get("/metrics", "HEAD")
    assert (response.status, text) == (200, "")
    assert int(response.headers["Content-Length"]) > 1000


@pytest.mark.parametrize("path", ["/", "/metrics", "/livez", "/readyz", "/nothing"])
async def test_no_answer_tells_a_version(site: Site, path: str) -> None:
    response, _ = await site.get(path)
    assert response.headers["Server"] == "poller"
    assert "aiohttp" not in str(response.headers)


async def test_a_malformed_request_is_refused_without_a_version_an_echo_or_a_traceback(site: Site) -> None:
    with capture_logs() as log:
        answer = await site.raw(b"GET / HTTP/1.1\r\nbad header <script>\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert b"Server: poller\r\n" in answer
    assert b"aiohttp" not in answer
    assert b"script" not in answer
    assert log == []
    assert (await site.get("/livez"))[0].status == 200


async def test_a_page_that_fails_is_logged_and_answers_500_without_details(site: Site) -> None:
    def fail() -> None:
        raise ZeroDivisionError("hunter2")

    site.metrics.on_scrape(fail)
    with capture_logs() as log:
        response, text = await site.get("/metrics")
    assert (response.status, text) == (500, "500\n")
    assert response.headers["Connection"] == "close"
    assert response.headers["Server"] == "poller"
    assert [(line["event"], line["path"], line["log_level"]) for line in log] == [("admin_failed", "/metrics", "error")]


async def test_a_connection_is_kept_for_the_next_request(site: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
    for _ in range(2):
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()
    await writer.wait_closed()


async def test_leaving_closes_idle_connections_at_once_and_frees_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "SHUTDOWN_SECONDS", 3600.0)
    site = Site()
    async with asyncio.timeout(30):
        async with site.server:
            port = site.server.port
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"ok\n")
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_port_in_use_is_a_mistake_of_configuration_that_names_the_address(site: Site) -> None:
    other = AdminServer(f"127.0.0.1:{site.server.port}", site.metrics, site.health)
    with pytest.raises(ConfigError, match=rf"http\.listen 127\.0\.0\.1:{site.server.port}: .*address.* in use.*; choose another"):
        async with other:
            pass


async def test_an_address_that_is_not_ours_is_a_mistake_of_configuration() -> None:
    with pytest.raises(ConfigError, match=r"http\.listen 192\.0\.2\.1:9108: "):
        async with AdminServer("192.0.2.1:9108", Metrics(), Health(HandClock())):
            pass


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:9108", ("127.0.0.1", 9108)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9108", ("::1", 9108)),
        ("0.0.0.0:65535", ("0.0.0.0", 65535)),
    ],
)
def test_an_address_is_host_and_port(listen: str, address: tuple[str, int]) -> None:
    assert parse_listen(listen) == address


@pytest.mark.parametrize(
    "listen", ["", "9108", ":9108", "localhost", "localhost:", "localhost:http", "localhost:65536", "h:-1", "h:²"]
)
def test_what_is_no_address_is_refused_with_an_example(listen: str) -> None:
    with pytest.raises(ConfigError, match=r'write HOST:PORT, for example "127\.0\.0\.1:9108"'):
        AdminServer(listen, Metrics(), Health(HandClock()))


async def test_it_listens_on_ipv6_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    async with AdminServer("[::1]:0", Metrics(), Health(HandClock())) as server:
        reader, writer = await asyncio.open_connection("::1", server.port)
        writer.write(b"GET /livez HTTP/1.0\r\n\r\n")
        assert (await reader.read()).endswith(b"ok\n")
        writer.close()
        await writer.wait_closed()
