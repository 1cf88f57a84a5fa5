"""The lean HTTP client opens, keeps and closes connections, on both event loops."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from support import wire as support
from support.hostile import hostile, in_turn, silence
from support.servers import free_port
from support.wire import GOOD, HELLO, REQUEST, asking, failure_of, origin_of, until

from poller.apis import wire as wire_module
from poller.apis.client import Transport
from poller.apis.wire import Origin, Wire, watchful_socket

if TYPE_CHECKING:
    import pytest
    from support.wire import Scene

run = support.on_both_loops

# --------------------------------------------------------------------------------------------------------------------- keeping


def test_bytes_that_nobody_asked_for_end_a_connection(run: Scene) -> None:
    async def scene() -> None:
        later = asyncio.Event()

        async def twice(writer: asyncio.StreamWriter) -> None:
            writer.write(HELLO)
            await later.wait()
            writer.write(HELLO)

        async with asking() as (server, wire, origin):
            server.then(in_turn(twice, GOOD))
            assert (await wire.send(origin, REQUEST)).body == b"hello"
            assert wire.connections == 1
            later.set()
            await until(lambda: wire.connections == 0)
            assert (await wire.send(origin, REQUEST)).body == b"good"

    run(scene())


def test_a_connection_that_was_idle_for_too_long_is_not_asked(run: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "KEPT", 0.0)

    async def scene() -> None:
        async with asking() as (server, wire, origin):
            server.then(GOOD)
            await wire.send(origin, REQUEST)
            await wire.send(origin, REQUEST)
            assert server.requests[0].port != server.requests[1].port

    run(scene())


def test_idle_connections_are_closed_by_and_by(run: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "KEPT", 0.2)

    async def scene() -> None:
        async with asking() as (server, wire, origin):
            server.then(GOOD)
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(wire.send(origin, REQUEST))
            assert wire.connections == 3
            await until(lambda: wire.connections == 0)

    run(scene())


def test_another_hosts_idle_connection_makes_room(run: Scene) -> None:
    async def scene() -> None:
        async with asking(Transport(connections=1, read_timeout=5)) as (one, wire, origin), hostile() as other:
            for server in (one, other):
                server.then(GOOD)
            for each in (origin, origin_of(other), origin):
                await wire.send(each, REQUEST)
                await until(lambda: wire.connections == 1)
            assert [len(one.requests), len(other.requests)] == [2, 1]
            assert one.requests[0].port != one.requests[1].port

    run(scene())


def test_what_waits_when_the_client_is_closed_fails(run: Scene) -> None:
    async def scene() -> None:
        async with asking() as (server, wire, origin), asyncio.TaskGroup() as group:
            server.then(silence)
            asked = group.create_task(failure_of(wire.send(origin, REQUEST)))
            await until(lambda: len(server.requests) == 1)
            await wire.aclose()
            assert (await asked).kind == "connection"
            assert (await failure_of(wire.send(origin, REQUEST))).kind == "connection"

    run(scene())


# --------------------------------------------------------------------------------------------------------------------- opening


async def test_a_name_is_looked_up_once_for_all_who_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[object] = []
    look_up = socket.getaddrinfo

    def watched(host: str, *more: object, **named: object) -> object:
        looked_up.append(host)
        return look_up(host, *more, **named)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(socket, "getaddrinfo", watched)
    async with asking() as (server, wire, origin):
        server.then(GOOD)
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(wire.send(origin._replace(host="localhost"), REQUEST))
        assert len({request.port for request in server.requests}) == 5
        assert looked_up == ["localhost"]
        monkeypatch.setattr(wire_module, "RESOLVED_FOR", -1.0)
        monkeypatch.setattr(wire_module, "KEPT", 0.0)
        await wire.send(origin._replace(host="localhost"), REQUEST)
        assert looked_up == ["localhost"] * 2


def test_no_server_is_a_connection_error(run: Scene) -> None:
    async def scene() -> None:
        async with asking() as (_, wire, _):
            error = await failure_of(wire.send(Origin(tls=False, host="127.0.0.1", port=free_port()), REQUEST))
            assert error.kind == "connection"

    run(scene())


def test_a_server_that_shakes_no_hands_is_given_up(run: Scene) -> None:
    async def scene() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            wire = Wire(Transport(connect_timeout=0.3), verify=True)
            origin = Origin(tls=True, host="127.0.0.1", port=listening.getsockname()[1])
            assert (await failure_of(wire.send(origin, REQUEST))).kind == "timeout"
            await wire.aclose()

    run(scene())


def test_sockets_notice_a_dead_peer() -> None:
    with watchful_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", None)) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == wire_module.KEEPALIVE_IDLE
