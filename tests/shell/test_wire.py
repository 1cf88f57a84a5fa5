"""The lean HTTP client over real sockets, with servers that misbehave, on both event loops."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from support import wire as support
from support.hostile import Behaviour, cut_short, hang_up, in_turn, nonsense, raw, reset, silence
from support.wire import GOOD, HELLO, REQUEST, asking, failure_of, until

from poller.apis.client import Transport
from poller.apis.wire import Origin, Wire

if TYPE_CHECKING:
    from support.wire import Scene

run = support.on_both_loops

# ---------------------------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("behaviour", "kept"),
    [
        pytest.param(raw(HELLO), True, id="at once"),
        pytest.param(raw(*[HELLO[place : place + 1] for place in range(len(HELLO))]), True, id="byte by byte"),
        pytest.param(raw(b"HTTP/1.1 100 Continue\r\n\r\n", HELLO), True, id="after 100"),
        pytest.param(
            raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n", b"3\r\nllo\r\n0\r\n", b"A: b\r\n\r\n"),
            True,
            id="in chunks",
        ),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"), False, id="last"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo", end=True), False, id="until the end"),
        pytest.param(raw(HELLO + b"HTTP/1.1 200 OK\r\n"), False, id="more than asked"),
        pytest.param(raw(HELLO, end=True), False, id="and hangs up"),
    ],
)
def test_a_connection_is_asked_again_where_nothing_is_left_of_its_answer(run: Scene, behaviour: Behaviour, *, kept: bool) -> None:
    async def scene() -> None:
        async with asking() as (server, wire, origin):
            server.then(in_turn(behaviour, GOOD))
            assert (await wire.send(origin, REQUEST)).body == b"hello"
            if not kept:
                await until(lambda: wire.connections == 0)
            assert (await wire.send(origin, REQUEST)).body == b"good"
            first, second = server.requests
            assert (first.port == second.port) == kept

    run(scene())


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        pytest.param(hang_up, "connection", id="hangs up"),
        pytest.param(reset, "connection", id="resets"),
        pytest.param(cut_short(b"hello"), "connection", id="cuts short"),
        pytest.param(raw(HELLO[:20], end=True), "connection", id="cuts the head"),
        pytest.param(nonsense, "connection", id="nonsense"),
        pytest.param(raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "connection", id="another protocol"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 10_000), "connection", id="huge head"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"), "connection", id="huge body"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n"), "connection", id="bad chunk"),
        pytest.param(silence, "timeout", id="silence"),
        pytest.param(raw(HELLO[:-1]), "timeout", id="half an answer"),
    ],
)
def test_what_fails_is_never_asked_twice_and_its_connection_never_again(run: Scene, behaviour: Behaviour, kind: str) -> None:
    async def scene() -> None:
        async with asking(Transport(read_timeout=0.2)) as (server, wire, origin):
            server.then(in_turn(GOOD, behaviour, GOOD))
            await wire.send(origin, REQUEST)  # so that the next is asked on a connection that was idle
            assert (await failure_of(wire.send(origin, REQUEST))).kind == kind
            assert len(server.requests) == 2
            assert (await wire.send(origin, REQUEST)).body == b"good"
            assert server.requests[0].port == server.requests[1].port != server.requests[2].port

    run(scene())


def test_a_slow_answer_may_take_longer_than_the_wait_for_each_piece(run: Scene) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        for place in range(len(HELLO)):
            writer.write(HELLO[place : place + 1])
            await writer.drain()
            await asyncio.sleep(0.02)

    async def scene() -> None:
        async with asking(Transport(read_timeout=0.5)) as (server, wire, origin):
            server.then(drip)
            began = asyncio.get_running_loop().time()
            assert (await wire.send(origin, REQUEST)).body == b"hello"
            assert asyncio.get_running_loop().time() - began > 0.5

    run(scene())


def test_silence_counts_from_the_request(run: Scene) -> None:
    async def late(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.15)
        await GOOD(writer)

    async def scene() -> None:
        async with asking(Transport(read_timeout=0.3)) as (server, wire, origin), asyncio.timeout(10):
            server.then(in_turn(late, silence))
            await wire.send(origin, REQUEST)
            began = asyncio.get_running_loop().time()
            assert (await failure_of(wire.send(origin, REQUEST))).kind == "timeout"
            assert asyncio.get_running_loop().time() - began > 0.25

    run(scene())


def test_an_answer_before_the_request_was_heard_ends_the_connection(run: Scene) -> None:
    ports: list[int] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports.append(writer.get_extra_info("peername")[1])
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        await over.wait()
        writer.close()

    async def scene() -> None:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        origin = Origin(tls=False, host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        wire = Wire(Transport(), verify=True)
        request = b"POST / HTTP/1.1\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 50_000_000
        async with server:
            assert (await wire.send(origin, request)).status_code == 413
            assert (await wire.send(origin, request)).status_code == 413
            over.set()
            await wire.aclose()
        assert len(set(ports)) == 2

    over = asyncio.Event()
    run(scene())


def test_a_caller_that_gives_up_takes_the_connection_with_it(run: Scene) -> None:
    async def scene() -> None:
        halfway, go_on = asyncio.Event(), asyncio.Event()

        async def late(writer: asyncio.StreamWriter) -> None:
            writer.write(HELLO[:-2])
            await writer.drain()
            halfway.set()
            await go_on.wait()
            writer.write(HELLO[-2:])

        async with asking(Transport(read_timeout=60)) as (server, wire, origin), asyncio.TaskGroup() as group:
            server.then(in_turn(late, GOOD))
            asked = group.create_task(wire.send(origin, REQUEST))
            await halfway.wait()
            asked.cancel()
            await until(lambda: wire.connections == 0)
            assert asked.cancelled()
            go_on.set()
            assert (await wire.send(origin, REQUEST)).body == b"good"
            assert server.requests[0].port != server.requests[1].port

    run(scene())
