"""What goes out for an invocation over HTTP, and where it must not go."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiohttp import web
from support.hostile import Hostile, hostile, reply
from support.rie import emulated, served

from poller import __version__
from poller.clock import SystemClock
from poller.core.model import Invocation, Refused, Returned
from poller.errors import ConfigError
from poller.executors.http import HttpExecutor, HttpSpec
from poller.executors.inline import InlineExecutor, InlineSpec
from poller.testing.doubles import SetClock
from poller.testing.executors import FUNCTION_ARN, REQUEST_ID, invocation
from poller.web.guard import guarded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from poller.executors.http_request import Protocol

NOW = 1_700_000_000.5
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
PARENT = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"
CERTIFICATE = Path(__file__).parents[1] / "data" / "tls" / "certificate.pem"
KEY = CERTIFICATE.with_name("key.pem")
METADATA = ["169.254.169.254", "169.254.170.2", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]"]


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Hostile]:
    async with hostile() as running:
        running.then(reply(200, b"null"))
        yield running


async def sent(server: Hostile, protocol: Protocol, trace: str | None = None, **headers: str) -> dict[str, str]:
    """The headers of one request, but for those of the connection."""
    spec = HttpSpec(url=f"{server.url}/f", protocol=protocol, arn="arn:of:the:spec", headers=headers)
    asking = Invocation(request_id=REQUEST_ID, event=b'{"a": 1}', deadline=NOW + 30, arn=FUNCTION_ARN, trace=trace)
    async with HttpExecutor(spec, SetClock(time=NOW)) as executor:
        assert isinstance(await executor.invoke(asking), Returned)
    request = server.requests[-1]
    assert (request.line, request.body) == ("POST /f HTTP/1.1", b'{"a": 1}')
    assert request.headers.pop("host") == server.url.removeprefix("http://")
    assert request.headers.pop("content-length") == "8"
    return request.headers


OF_ALL = {
    "accept": "*/*",
    "accept-encoding": "identity",
    "content-type": "application/json",
    "user-agent": f"poller/{__version__}",
    "lambda-runtime-aws-request-id": REQUEST_ID,
    "lambda-runtime-deadline-ms": "1700000030500",
    "lambda-runtime-invoked-function-arn": FUNCTION_ARN,
}
TRACED = {"lambda-runtime-trace-id": TRACE, "x-amzn-trace-id": TRACE, "traceparent": PARENT}
CLOUD_EVENT = {
    "ce-specversion": "1.0",
    "ce-id": REQUEST_ID,
    "ce-source": FUNCTION_ARN,
    "ce-type": "com.amazonaws.lambda.invocation",
    "ce-time": "2023-11-14T22:13:20.500Z",
}


@pytest.mark.rule("function.remote.request")
async def test_the_event_is_the_body_and_the_rest_stands_in_headers_named_as_in_the_runtime_api(server: Hostile) -> None:
    assert await sent(server, "raw") == OF_ALL
    assert await sent(server, "raw", TRACE) == OF_ALL | TRACED
    assert await sent(server, "raw", "Root=odd") == OF_ALL | {
        "lambda-runtime-trace-id": "Root=odd",
        "x-amzn-trace-id": "Root=odd",
    }


async def test_emulators_get_the_request_id_by_the_name_that_they_look_for(server: Hostile) -> None:
    assert await sent(server, "rie") == OF_ALL | {"x-amzn-requestid": REQUEST_ID}


@pytest.mark.rule("function.remote.cloudevents")
async def test_a_cloud_event_has_its_attributes_in_headers(server: Hostile) -> None:
    assert await sent(server, "cloudevents") == OF_ALL | CLOUD_EVENT
    assert await sent(server, "cloudevents", TRACE) == OF_ALL | CLOUD_EVENT | TRACED | {"ce-traceparent": PARENT}


async def test_headers_of_the_configuration_go_with_each_request(server: Hostile) -> None:
    assert (await sent(server, "raw", Authorization="Bearer hunter2"))["authorization"] == "Bearer hunter2"


async def test_invocations_one_after_the_other_share_a_connection(server: Hostile) -> None:
    async with HttpExecutor(HttpSpec(url=server.url), SystemClock()) as executor:
        for _ in range(3):
            assert isinstance(await executor.invoke(invocation({})), Returned)
    assert len({request.port for request in server.requests}) == 1


async def test_the_environments_proxy_is_not_asked(server: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert await sent(server, "raw") == OF_ALL


async def test_cookies_are_not_kept(server: Hostile) -> None:
    server.then(reply(200, b"null", set_cookie="a=b"))
    async with HttpExecutor(HttpSpec(url=server.url.replace("127.0.0.1", "localhost")), SystemClock()) as executor:
        await executor.invoke(invocation({}))
        await executor.invoke(invocation({}))
    assert [request.headers.get("cookie") for request in server.requests] == [None, None]


async def test_an_emulator_runs_one_invocation_at_a_time_and_refuses_a_second(tmp_path: Path) -> None:
    async def handler(event: Any, context: Any) -> Any:
        return (await executor.invoke(invocation({}))).__class__.__name__ if event else None

    inner = InlineExecutor(handler, InlineSpec(name="f"), SystemClock())
    async with emulated(inner) as emulator, HttpExecutor(HttpSpec(url=emulator.url, protocol="rie"), SystemClock()) as executor:
        answer = await executor.invoke(invocation({"again": True}))
    assert isinstance(answer, Returned)
    assert answer.payload == b'"Refused"'


# ------------------------------------------------------------------------------------------------------- where no request goes


async def refused(url: str, *, seconds: float = 10.0, **spec: Any) -> str:
    async with HttpExecutor(HttpSpec(url=url, **spec), SystemClock()) as executor:
        answer = await executor.invoke(invocation({}, seconds=seconds))
    assert isinstance(answer, Refused), answer
    assert (answer.reason, answer.retry_after) == ("unavailable", None)
    return answer.detail


@pytest.mark.parametrize("host", METADATA)
@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.rule("function.remote.only-its-url")
async def test_no_request_goes_to_a_metadata_service_however_it_is_spelt(host: str, *, allowed: bool) -> None:
    detail = await refused(f"http://{host}/latest/meta-data", allow_link_local=allowed)
    assert detail.endswith("belongs to the metadata service of a cloud: no request goes there")


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "169.254.1.2"])
async def test_what_a_name_stands_for_is_judged_when_it_is_connected_to(
    address: str, server: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands_for: list[str] = ["127.0.0.1"]
    port = int(server.url.rpartition(":")[2])

    def look_up(*_: object, **__: object) -> list[Any]:
        place = (stands_for[0], port) if "." in stands_for[0] else (stands_for[0], port, 0, 0)
        family = socket.AF_INET if "." in stands_for[0] else socket.AF_INET6
        return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place)]

    monkeypatch.setattr("poller.web.client.NAMES_SECONDS", 0)
    async with HttpExecutor(HttpSpec(url=f"http://rebound.test:{port}"), SystemClock()) as executor:
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        server.then(reply(200, b"null", connection="close"))
        assert isinstance(await executor.invoke(invocation({})), Returned)
        stands_for[0] = address
        answer = await executor.invoke(invocation({}))
    assert isinstance(answer, Refused)
    assert address in answer.detail
    assert "no request goes there" in answer.detail


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("127.0.0.1", True),
        ("10.0.0.1", True),
        ("::1", True),
        ("fe80::1%lo", False),
        ("169.254.1.2", False),
        ("::ffff:169.254.1.2", False),
        ("2002:a9fe:a9fe::1", False),
        ("100.100.100.200", False),
        ("168.63.129.16", False),
        ("fd20:ce::254", False),
        ("fd00:ec2::23", False),
    ],
)
def test_which_addresses_may_be_spoken_to(address: str, *, allowed: bool) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    to = (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 80))
    if allowed:
        guarded(allow_link_local=False)(to).close()
    else:
        with pytest.raises(OSError, match="no request goes there") as caught:
            guarded(allow_link_local=False)(to)
        assert caught.value.errno == errno.EACCES


def test_link_local_addresses_may_be_spoken_to_where_that_is_configured() -> None:
    for family, address in ((socket.AF_INET, "169.254.1.2"), (socket.AF_INET6, "fe80::1")):
        guarded(allow_link_local=True)((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 80))).close()


# ---------------------------------------------------------------------------------------------------------------- no connection


@pytest.mark.rule("function.remote.unavailable")
async def test_a_port_where_nobody_listens_is_a_refusal() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{held.getsockname()[1]}"
        assert (await refused(f"http://{where}/f")).startswith(f"no connection to {where}: ClientConnectorError: ")


async def test_a_name_that_nobody_knows_is_a_refusal() -> None:
    assert (await refused("http://nobody.invalid/f")).startswith("no connection to nobody.invalid: ClientConnectorDNSError: ")


@contextlib.contextmanager
def crowded() -> Iterator[int]:
    """A port that answers nobody: its queue is full."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


async def test_a_host_that_does_not_answer_is_a_refusal_and_no_time_out_of_the_function() -> None:
    with crowded() as port:
        assert (await refused(f"http://127.0.0.1:{port}/f", seconds=0.5)).startswith(f"no connection to 127.0.0.1:{port}: ")


# -------------------------------------------------------------------------------------------------------------------------- https


@contextlib.asynccontextmanager
async def over_tls() -> AsyncIterator[str]:
    """A server with a certificate of an authority that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"secure": request.secure})

    async with served(answer, tls=context) as url:
        yield url


async def test_a_server_that_no_authority_vouches_for_is_a_refusal() -> None:
    async with over_tls() as url:
        assert "CERTIFICATE_VERIFY_FAILED" in (await refused(url)) or "certificate verify failed" in (await refused(url))


async def test_an_authority_of_ones_own_can_vouch_for_it() -> None:
    async with over_tls() as url, HttpExecutor(HttpSpec(url=url, ca_file=CERTIFICATE), SystemClock()) as executor:
        answer = await executor.invoke(invocation({}))
    assert isinstance(answer, Returned)
    assert answer.payload == b'{"secure": true}'


@pytest.mark.parametrize("file", [KEY, CERTIFICATE.parent / "none.pem"])
def test_a_file_without_certificates_cannot_be_configured(file: Path) -> None:
    with pytest.raises(ConfigError, match=f"ca_file {file}"):
        HttpExecutor(HttpSpec(url="https://127.0.0.1", ca_file=file), SystemClock())
