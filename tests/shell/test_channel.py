"""The daemon's end of a worker's socket: replies and requests are whole, in whatever pieces they come and go."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
import uvloop

from poller.executors.channel import LAST_READS, READ_BYTES, Channel, Reply
from poller.executors.worker import MAX_ANSWER_BYTES, RAISED, REPLY, REQUEST, RETURNED, Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CALL = Call("id", 1.5, "arn", None)
JUNK = b"?" * REPLY.size


class Ends:
    """A channel, and the socket of the worker at its other end."""

    def __init__(self) -> None:
        near, self.far = socket.socketpair()
        near.settimeout(0)
        self.far.settimeout(0)
        self.replies: list[Reply] = []
        self.broken: list[str] = []
        self.channel = Channel(near, self.replies.append, self.broken.append)

    def close(self) -> None:
        self.channel.close()
        self.far.close()

    async def until(self, happened: Callable[[], bool]) -> int:
        """Turns of the loop that it took."""
        for turn in range(100_000):
            if happened():
                return turn
            await asyncio.sleep(0)
        raise AssertionError("it did not happen")


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner


def message(payload: bytes, sequence: int = 1, kind: bytes = RETURNED) -> bytes:
    return REPLY.pack(len(payload), sequence, kind, 0.5, 7) + payload


def reply(payload: bytes, sequence: int = 1, kind: bytes = RETURNED) -> Reply:
    return Reply(kind, payload, sequence, 0.5, 7)


async def send(ends: Ends, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(ends.far, data)


@pytest.mark.parametrize("size", [0, 1, READ_BYTES - REPLY.size, READ_BYTES - REPLY.size + 1, 1_000_000, MAX_ANSWER_BYTES])
def test_a_reply_of_any_size_arrives_whole(loop: asyncio.Runner, size: int) -> None:
    async def scene() -> None:
        ends = Ends()
        payload = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        await send(ends, message(payload, 3))
        await ends.until(lambda: bool(ends.replies))
        await send(ends, message(b"next", 4, RAISED))
        await ends.until(lambda: len(ends.replies) == 2)
        ends.close()
        assert ends.replies == [reply(payload, 3), reply(b"next", 4, RAISED)]
        assert ends.broken == []

    loop.run(scene())


def test_a_reply_that_comes_byte_by_byte_arrives_once_it_is_whole(loop: asyncio.Runner) -> None:
    async def scene() -> None:
        ends = Ends()
        for byte in message(b"slowly"):
            assert ends.replies == []
            ends.far.send(bytes((byte,)))
            for _ in range(5):
                await asyncio.sleep(0)
        await ends.until(lambda: bool(ends.replies))
        ends.close()
        assert ends.replies == [reply(b"slowly")]

    loop.run(scene())


def test_replies_that_arrive_together_are_told_apart(loop: asyncio.Runner) -> None:
    async def scene() -> None:
        ends = Ends()
        together = message(b"a", 1) + message(b"", 2) + message(b"c" * 100_000, 3) + message(b"d", 4)
        await send(ends, together)
        await ends.until(lambda: len(ends.replies) == 4)
        ends.close()
        assert ends.replies == [reply(b"a", 1), reply(b"", 2), reply(b"c" * 100_000, 3), reply(b"d", 4)]

    loop.run(scene())


@pytest.mark.parametrize("junk", [JUNK, REPLY.pack(MAX_ANSWER_BYTES + 1, 1, RETURNED, 0.0, 0)], ids=["no kind", "too large"])
def test_what_is_no_reply_breaks_the_channel_once_and_nothing_after_it_is_read(loop: asyncio.Runner, junk: bytes) -> None:
    async def scene() -> None:
        ends = Ends()
        await send(ends, message(b"good") + junk + message(b"never"))
        await ends.until(lambda: bool(ends.broken))
        await send(ends, message(b"never") * 2)
        ends.channel.read()
        ends.close()
        assert ends.replies == [reply(b"good")]
        assert ends.broken == ["it sent what is no answer"]

    loop.run(scene())


def test_what_a_dead_worker_said_last_is_read_in_one_go(loop: asyncio.Runner) -> None:
    async def scene() -> None:
        ends = Ends()
        last = message(b"x" * 2 * READ_BYTES)
        assert ends.far.send(last) == len(last)
        ends.far.close()
        ends.channel.read()
        ends.close()
        assert ends.replies == [reply(b"x" * 2 * READ_BYTES)]
        assert ends.broken == ["it closed its connection"]
        assert LAST_READS * READ_BYTES > MAX_ANSWER_BYTES

    loop.run(scene())


@pytest.mark.parametrize("size", [10, 150_000, 6_000_000])
def test_a_request_is_sent_whole_and_in_order(loop: asyncio.Runner, size: int) -> None:
    async def scene() -> None:
        ends = Ends()
        event = bytes(range(256)) * (size // 256 + 1)
        ends.channel.send(CALL, event, 9)
        arrived = b""
        while len(arrived) < REQUEST.size:
            arrived += await asyncio.get_running_loop().sock_recv(ends.far, 1 << 20)
        call_size, event_size, sequence = REQUEST.unpack_from(arrived)
        pieces, missing = [arrived], REQUEST.size + call_size + event_size - len(arrived)
        while missing:
            pieces.append(await asyncio.get_running_loop().sock_recv(ends.far, 1 << 20))
            missing -= len(pieces[-1])
        ends.close()
        assert sequence == 9
        assert b"".join(pieces)[REQUEST.size :] == b'["id",1.5,"arn",null]' + event

    loop.run(scene())


def test_a_large_reply_leaves_turns_of_the_loop_to_others(loop: asyncio.Runner) -> None:
    async def scene() -> None:
        ends = Ends()
        async with asyncio.TaskGroup() as group:
            group.create_task(send(ends, message(b"x" * MAX_ANSWER_BYTES)))
            turns = await ends.until(lambda: bool(ends.replies))
        ends.close()
        assert turns >= MAX_ANSWER_BYTES // READ_BYTES / 2

    loop.run(scene())


def test_a_worker_that_is_gone_takes_no_request_and_the_channel_says_so(loop: asyncio.Runner) -> None:
    async def scene() -> None:
        ends = Ends()
        ends.far.close()
        ends.channel.send(CALL, b"x" * 1_000_000, 1)
        await ends.until(lambda: bool(ends.broken))
        ends.close()
        assert ends.broken == ["it closed its connection"]

    loop.run(scene())
