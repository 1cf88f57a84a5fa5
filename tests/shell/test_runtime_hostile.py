"""What clients of the Runtime API may say and how they may say it: awkwardly, slowly, too much, or nonsense."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from contextlib import ExitStack, suppress

import pytest
from support.runtime_api import NEXT, ROOT, place, until

from poller.executors import runtime_connection
from poller.executors.peers import user_of_peer
from poller.executors.runtime_bodies import MAX_HEAD_BYTES
from poller.executors.runtime_listener import MAX_CONNECTIONS
from poller.executors.worker import MAX_ANSWER_BYTES, RETURNED

RESPONSE = f"POST {ROOT}invocation/r/response HTTP/1.1\r\n".encode()
CHUNKED = RESPONSE + b"Transfer-Encoding: chunked\r\n\r\n"
NOBODY = 65534
MANY = 60_000


@pytest.mark.parametrize(
    "request_",
    [
        RESPONSE + b"Content-Length: 4\r\n\r\nnull",
        RESPONSE + b"content-length:4\r\nX-Ray: a\r\nX-Ray: b\r\n\r\nnull",
        b"\r\n\r\n" + RESPONSE.replace(b"response", b"response?a=b") + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nnull",
        CHUNKED + b"2\r\nnu\r\n02 ;x=y\r\nll\r\n0\r\n\r\n",
        CHUNKED + b"4\r\nnull\r\n0\r\nServer-Timing: x\r\n\r\n",
    ],
)
async def test_a_request_may_come_byte_by_byte(request_: bytes) -> None:
    async with place() as here:
        client = await here.running()
        client.writer.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(len(request_)):
            client.send(request_[number : number + 1])
            await asyncio.sleep(0)
        assert (await client.answer()).status == 202
        assert (await here.worker.reply())[:2] == (RETURNED, b"null")


async def test_requests_may_come_all_at_once() -> None:
    async with place() as here:
        client = (await here.client()).send((NEXT + RESPONSE + b"Content-Length: 1\r\n\r\n1") * 3)
        await here.worker.reply()
        for number in (1, 2, 3):
            here.invoke()
            assert [(await client.answer()).status, (await client.answer()).status] == [200, 202]
            assert (await here.worker.reply()).sequence == number


@pytest.mark.parametrize("number", [1, 1000])
async def test_many_small_requests_at_once_are_all_answered(number: int) -> None:
    async with place() as here:
        client = (await here.client()).send(b"GET / HTTP/1.1\r\n\r\n" * number)
        assert {(await client.answer()).status for _ in range(number)} == {404}


async def test_a_client_that_asks_first_is_told_to_go_on_once() -> None:
    async with place() as here:
        client = (await here.running()).send(RESPONSE + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.answer()).status == 100
        client.send(b"nu")
        (connection,) = here.api._listener.connections
        await until(lambda: (begun := connection._requests._begun) is not None and begun.body.kept == b"nu")
        assert (await client.send(b"ll").answer()).status == 202


@pytest.mark.parametrize(
    ("version", "fields", "lasts"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: Close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: Keep-Alive\r\n", True),
    ],
)
async def test_a_connection_lasts_as_long_as_its_client_wishes(version: bytes, fields: bytes, lasts: bool) -> None:  # noqa: FBT001
    async with place() as here:
        client = (await here.client()).send(b"GET / HTTP/1.1\r\nHost: it\r\n\r\n")
        assert (await client.answer()).status == 404
        client.send(NEXT.replace(b"1.1", version).replace(b"\r\n\r\n", b"\r\n" + fields + b"\r\n"))
        await here.worker.reply()
        here.invoke()
        assert (await client.answer()).status == 200
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        if lasts:
            assert (await client.answer()).status == 404
        else:
            assert await client.closed() == b""
            client.close()
            await until(lambda: not here.api._listener.connections)


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"get / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\nHost: it\n\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\n: b\r\n\r\n",
        RESPONSE + b"Content-Length: -1\r\n\r\n",
        RESPONSE + b"Content-Length: +1\r\n\r\n",
        RESPONSE + b"Content-Length: 1_0\r\n\r\n",
        RESPONSE + b"Content-Length: 99999999999999999999\r\n\r\n",
        RESPONSE + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        RESPONSE + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        RESPONSE + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        RESPONSE.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n",
        CHUNKED + b"\r\n",
        CHUNKED + b"x\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"0x1\r\n",
        CHUNKED + b"1\r\nab\r\n",
        CHUNKED + b"fffffffffffffff\r\n",
        CHUNKED + b"1;" + b"x" * 20_000,
        CHUNKED + b"0\r\nno colon\r\n\r\n",
    ],
)
async def test_nonsense_is_refused_and_ends_its_connection_and_nothing_else(junk: bytes) -> None:
    async with place() as here:
        client, other = await here.running(), await here.client()
        other.send(junk)
        assert (await other.answer()).status == 400
        assert await other.closed() == b""
        assert (await client.post("invocation/r/response").answer()).status == 202


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
async def test_a_head_of_a_megabyte_is_read_and_a_larger_one_refused(end: bytes) -> None:
    async with place() as here:
        client = await here.running()
        cause = "Lambda-Runtime-Function-XRay-Error-Cause: " + "x" * 1024 * 1024
        assert (await client.post("invocation/r/error", b"{}", cause).answer()).status == 202
        client.send(b"GET / HTTP/1.1\r\nA: " + b"x" * MAX_HEAD_BYTES + end)
        assert (await client.answer()).status == 400


async def test_trailers_without_end_are_refused() -> None:
    async with place() as here:
        client = (await here.running()).send(CHUNKED + b"0\r\n")
        with suppress(ConnectionError):
            for _ in range(200):
                await client.send(b"A: " + b"x" * 10_000 + b"\r\n").writer.drain()
        assert (await client.answer()).status == 400


@pytest.mark.parametrize("head", [RESPONSE + b"Content-Length: 900000000000\r\n\r\n", CHUNKED + b"ffffffffff\r\n"])
async def test_of_an_answer_without_end_nothing_is_kept(head: bytes) -> None:
    async with place() as here:
        client = (await here.running()).send(head)
        for _ in range(3 * MAX_ANSWER_BYTES // 65536):
            await client.send(b"x" * 65536).writer.drain()
        (connection,) = here.api._listener.connections
        begun = connection._requests._begun
        assert begun is not None
        assert len(begun.body.kept) == 0
        assert connection._requests.waiting <= runtime_connection.READ_BYTES


async def test_what_follows_a_next_that_waits_is_not_piled_up() -> None:
    async with place() as here:
        client = await here.ready()
        client.send(b"GET / HTTP/1.1\r\n\r\n" * 1_000_000)
        (connection,) = here.api._listener.connections
        await until(lambda: not connection._reading)
        assert connection._requests.waiting <= runtime_connection.READ_BYTES
        here.invoke()
        assert [(await client.answer()).status for _ in range(1000)] == [200] + [404] * 999


async def test_a_client_that_reads_nothing_gets_no_further_answers_meanwhile() -> None:
    async with place() as here:
        client = await here.client()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # this transport can read
        client.send(b"GET / HTTP/1.1\r\n\r\n" * MANY)
        await until(lambda: len(here.api._listener.connections) == 1)
        (connection,) = here.api._listener.connections
        await until(lambda: len(connection._unsent) > 0)
        assert len(connection._unsent) < 1000
        assert connection._requests.waiting <= runtime_connection.READ_BYTES
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]  # the same
        assert {(await client.answer()).status for _ in range(MANY)} == {404}


async def test_a_worker_has_so_many_connections_and_no_more() -> None:
    async with place() as here:
        clients = [await here.client() for _ in range(MAX_CONNECTIONS)]
        await until(lambda: len(here.api._listener.connections) == MAX_CONNECTIONS)
        assert await (await here.client()).closed() == b""
        clients[0].close()
        await until(lambda: len(here.api._listener.connections) < MAX_CONNECTIONS)
        assert (await (await here.client()).post("nowhere").answer()).status == 404


async def test_a_connection_waits_while_the_daemon_has_no_descriptor_for_it() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with place() as here:
        early = socket.create_connection(("127.0.0.1", here.port))
        with ExitStack() as stack:
            stack.callback(early.close)
            stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
            resource.setrlimit(resource.RLIMIT_NOFILE, (early.fileno() + 1, hard))
            await until(lambda: here.api._listener._again is not None)
            assert not here.api._listener.connections
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await until(lambda: len(here.api._listener.connections) == 1)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize(("user", "said"), [(0, b"HTTP/1.1 404"), (NOBODY, b"")])
async def test_other_users_of_the_machine_are_refused(user: int, said: bytes) -> None:
    async with place() as here:
        os.seteuid(user)
        try:
            connection = socket.create_connection(("127.0.0.1", here.port))
        finally:
            os.seteuid(0)
        client = await here.client_of(connection)
        assert (await client.send(b"GET / HTTP/1.0\r\n\r\n").closed())[: len(b"HTTP/1.1 404")] == said


async def test_the_user_at_the_other_end_is_known_as_long_as_there_is_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
        with far:
            assert user_of_peer(far) == os.getuid()
            near.close()
            assert user_of_peer(far) == -1


async def test_a_head_of_a_thousand_fields_is_no_request() -> None:
    """Joining fields of one name would take time in the square of their number."""
    async with place() as here:
        client = await here.client()
        fields = "".join(f"a:{number}\r\n" for number in range(1000))
        answer = await client.send(f"GET {ROOT}invocation/next HTTP/1.1\r\n{fields}\r\n".encode()).answer()
        assert answer.status == 400
