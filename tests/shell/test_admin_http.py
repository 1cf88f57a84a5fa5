"""The HTTP listener, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
from typing import TYPE_CHECKING

import aiohttp
import pytest
from structlog.testing import capture_logs
from support.build import record
from support.observing import ORDERS, FakeShard, HandClock, classic, openmetrics

from poller.admin.health import Health
from poller.admin.http import AdminServer, parse_listen
from poller.core.model import Accepted, Attempt, Returned
from poller.errors import ConfigError
from poller.observe.mapping import MappingFacts, MappingObserver
from poller.observe.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from prometheus_client import Metric


class Site:
    """A server, what it shows, and a client."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.metrics = Metrics()
        self.health = Health(self.clock)
        self.server = AdminServer("127.0.0.1:0", self.metrics, self.health)

    async def get(self, path: str, method: str = "GET", **headers: str) -> tuple[aiohttp.ClientResponse, str]:
        url = f"http://127.0.0.1:{self.server.port}{path}"
        async with (
            aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=["Accept-Encoding", "Accept"]) as session,
            session.request(method, url, headers={key.replace("_", "-"): value for key, value in headers.items()}) as response,
        ):
            body = await response.read()
            return response, (gzip.decompress(body) if "Content-Encoding" in response.headers else body).decode()

    async def raw(self, request: bytes) -> bytes:
        """What the server answers to these bytes before it closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    async with site.server:
        yield site


# -------------------------------------------------------------------------------------------------------------------- metrics


async def test_a_scrape_is_classic_text_by_default_and_asks_the_shards(site: Site) -> None:
    mapping = MappingObserver(site.metrics, ORDERS, site.clock)
    mapping.shard_opened("a", FakeShard(iterator_age=12.5))
    response, text = await site.get("/metrics")
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert classic(text).value("poller_iterator_age_seconds", mapping="orders", shard="a") == 12.5


async def test_openmetrics_with_exemplars_where_the_client_asks_for_it(site: Site) -> None:
    mapping = MappingObserver(site.metrics, ORDERS, site.clock)
    attempt = Attempt(records=(record(1),), request_id="r1")
    mapping.invoking(attempt, "a", 0)
    mapping.answered(attempt, "a", Returned(b""), Accepted(), 0.1)
    prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
    response, text = await site.get("/metrics", Accept=prometheus)
    assert response.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert text.endswith("# EOF\n")
    assert [sample.exemplar.labels for sample in openmetrics(text).samples if sample.exemplar] == [{"request_id": "r1"}]


@pytest.mark.parametrize("accept", ["*/*", "text/html", "text/plain;version=1.0.0", "application/openmetrics-text;q=0", "a;;,=,"])
async def test_classic_text_for_everybody_else(site: Site, accept: str) -> None:
    response, text = await site.get("/metrics", Accept=accept)
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "# EOF" not in text


@pytest.mark.parametrize(
    ("accept", "zipped"),
    [("gzip", True), ("deflate, GZIP;q=0.5", True), ("gzip;q=0", False), ("gzip;q=0.000", False), ("br", False)],
)
async def test_a_large_page_is_zipped_for_whom_it_suits(site: Site, accept: str, *, zipped: bool) -> None:
    response, text = await site.get("/metrics", Accept_Encoding=accept)
    assert ("Content-Encoding" in response.headers) is zipped
    assert response.headers["Vary"] == "Accept, Accept-Encoding"
    assert classic(text).value("poller_store_up") == 0


async def test_a_small_page_is_not_zipped(site: Site) -> None:
    response, text = await site.get("/livez", Accept_Encoding="gzip")
    assert "Content-Encoding" not in response.headers
    assert text == "ok\n"


async def test_shards_are_asked_on_the_loop_and_the_page_is_made_off_it(site: Site) -> None:
    threads: dict[str, int] = {}

    class Spy:
        def collect(self) -> Iterator[Metric]:
            threads["render"] = threading.get_ident()
            yield from ()

    site.metrics.registry.register(Spy())
    threads.clear()  # registering collects once, for the names
    site.metrics.on_scrape(lambda: threads.update(snapshot=threading.get_ident()))
    await site.get("/metrics")
    assert threads["snapshot"] == threading.get_ident()
    assert threads["render"] != threading.get_ident()


async def test_the_loop_answers_while_a_page_is_made(site: Site) -> None:
    began, go_on = threading.Event(), threading.Event()

    class Slow:
        def describe(self) -> list[Metric]:
            return []

        def collect(self) -> Iterator[Metric]:
            began.set()
            assert go_on.wait(30)
            yield from ()

    site.metrics.registry.register(Slow())
    async with asyncio.TaskGroup() as tasks:
        scrape = tasks.create_task(site.get("/metrics"))
        await asyncio.to_thread(began.wait, 30)
        response, _ = await site.get("/livez")
        assert response.status == 200
        assert not scrape.done()
        go_on.set()
    assert scrape.result()[0].status == 200


async def test_twenty_three_thousand_series_are_all_on_the_page(site: Site) -> None:
    for number in range(100):
        facts = MappingFacts(name=f"m{number}", source_type="kinesis", source="s", function="f", destination="sqs")
        mapping = MappingObserver(site.metrics, facts, site.clock)
        for shard in range(50):
            mapping.shard_opened(f"shard-{shard}", FakeShard(iterator_age=1.0))
    _, text = await site.get("/metrics", Accept_Encoding="gzip")
    series = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(series) > 23_000
    assert sum(line.startswith("poller_iterator_age_seconds{") for line in series) == 5_000


async def test_ready_is_a_gauge_too(site: Site) -> None:
    assert classic((await site.get("/metrics"))[1]).value("poller_ready") == 0
    site.health.passed("config")
    site.health.passed("store")
    assert classic((await site.get("/metrics"))[1]).value("poller_ready") == 1
    site.health.drain()
    assert classic((await site.get("/metrics"))[1]).value("poller_ready") == 0


# --------------------------------------------------------------------------------------------------------------------- health


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


# ----------------------------------------------------------------------------------------------------------------------- HTTP


async def test_the_index_links_to_everything(site: Site) -> None:
    response, text = await site.get("/")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    for path in ("/metrics", "/livez", "/readyz", "/startupz"):
        assert f'href="{path}"' in text
        assert (await site.get(path))[0].status in {200, 503}


@pytest.mark.parametrize("path", ["/metrics/", "/nothing", "/../etc/passwd", "/livez/x", "//metrics"])
async def test_an_unknown_path_is_not_found(site: Site, path: str) -> None:
    assert (await site.raw(f"GET {path} HTTP/1.0\r\n\r\n".encode())).startswith(b"HTTP/1.0 404 ")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/metrics", "/livez", "/readyz", "/startupz"])
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
    assert response.headers["Server"] == "poller"
    assert [(line["event"], line["path"], line["log_level"]) for line in log] == [("admin_failed", "/metrics", "error")]


async def test_a_connection_is_kept_for_the_next_request(site: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
    for _ in range(2):
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()
    await writer.wait_closed()


async def test_leaving_closes_idle_connections_at_once_and_frees_the_port() -> None:
    site = Site()
    async with site.server:
        port = site.server.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"ok\n")
    async with asyncio.timeout(1):
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


# -------------------------------------------------------------------------------------------------------------------- address


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
