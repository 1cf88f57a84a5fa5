"""The one connection of a Redis store. What is called while it is busy, or in one turn of the loop, goes out together.

A call on its own costs several times the CPU of one among a hundred: most of it is the loop's way to the socket and back.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis import exceptions
from redis.exceptions import NoScriptError, RedisError, ResponseError

from poller.errors import ApiErrorKind, Unavailable
from poller.stores.redis_servers import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from poller.stores.redis_scripts import Script
    from poller.stores.redis_servers import Servers

MOST = 1_000
"""Calls that go out together: their answers arrive well within `PATIENCE`."""

_KINDS: tuple[tuple[type[Exception] | str, ApiErrorKind], ...] = (
    (TimeoutError, "timeout"),
    (exceptions.TimeoutError, "timeout"),
    (exceptions.AuthenticationError, "auth"),  # NOAUTH, WRONGPASS
    (exceptions.NoPermissionError, "auth"),
    (exceptions.BusyLoadingError, "server"),  # LOADING: it reads its data back
    (exceptions.ReadOnlyError, "server"),  # a replica, or a master no longer
    (exceptions.ClusterDownError, "server"),  # and MASTERDOWN: a replica that has lost its master
    (exceptions.TryAgainError, "server"),
    (exceptions.OutOfMemoryError, "server"),  # at its `maxmemory`
    ("max number of clients", "throttled"),
    (exceptions.ConnectionError, "connection"),
    (OSError, "connection"),
    ("DENIED", "auth"),  # protected mode
    ("BUSY", "server"),  # with somebody's script
    ("NOREPLICAS", "server"),  # too few of them to accept writes
    ("MISCONF", "server"),  # its disk is full, or fails
    ("READONLY", "server"),  # servers before Redis 7 wrap what a script ran into
    ("OOM", "server"),
)
"""What went wrong, by redis-py's class of it or by a word of its text; the first match counts. Everything else is `other`."""


@dataclass(frozen=True, slots=True)
class Request:
    """A script of one key with its arguments; without a script, the arguments are a command of their own."""

    script: Script | None
    arguments: tuple[bytes, ...]

    @property
    def brief(self) -> tuple[bytes, ...]:
        """The command, its script by name."""
        return self.arguments if self.script is None else (b"EVALSHA", self.script.digest, b"1", *self.arguments)

    @property
    def whole(self) -> tuple[bytes, ...]:
        """The command, its script in full, for a server that does not know it."""
        return self.arguments if self.script is None else (b"EVAL", self.script.text.encode(), b"1", *self.arguments)


@dataclass(frozen=True, slots=True)
class _Call:
    operation: str
    request: Request
    answer: asyncio.Future[object]


class Pipeline:
    """Sends calls and hands out their answers, for as long as `run` runs. It never tries again by itself."""

    def __init__(self, servers: Servers) -> None:
        self._connection = servers.connection()
        self._waiting: list[_Call] = []
        self._sent: list[_Call] = []
        self._news = asyncio.Event()
        self._closing = False

    async def call(self, operation: str, request: Request) -> object:
        """The server's answer: bytes, an integer, None, or a list of these. Raises `Unavailable`.

        A caller that is cancelled takes nobody along; its call may have its effect or not.
        """
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(operation, request, answer))
        self._news.set()
        return await answer

    def close(self) -> None:
        """Lets `run` end once everything called so far is answered. Nothing may be called any more."""
        self._closing = True
        self._news.set()

    async def run(self) -> None:
        """Until closed."""
        try:
            while self._waiting or not self._closing:
                await self._news.wait()
                self._news.clear()
                while self._waiting:
                    self._sent, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                    await self._send([call for call in self._sent if not call.answer.cancelled()])
        finally:
            refuse((*self._sent, *self._waiting), ConnectionError("the store was closed"))
            with suppress(RedisError):  # it did not close in time
                await self._connection.disconnect()

    async def _send(self, calls: list[_Call]) -> None:
        if not calls:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                answers = await self._exchange([call.request for call in calls])
        except (RedisError, OSError, ValueError) as error:  # ValueError: what answers speaks no RESP
            await self._connection.disconnect(nowait=True)
            refuse(calls, error)
            return
        for call, answer in zip(calls, answers, strict=True):
            if isinstance(answer, ResponseError):
                refuse((call,), answer)
            elif not call.answer.done():
                call.answer.set_result(answer)
        if any(isinstance(answer, ResponseError) for answer in answers):  # there may be a better server behind the address by now
            await self._connection.disconnect(nowait=True)

    async def _exchange(self, requests: list[Request]) -> list[object]:
        answers = await self._round(request.brief for request in requests)
        unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            second = await self._round(requests[index].whole for index in unknown)
            for index, answer in zip(unknown, second, strict=True):
                answers[index] = answer
        return answers

    async def _round(self, commands: Iterable[tuple[bytes, ...]]) -> list[object]:
        packed = [packed_command(command) for command in commands]
        if not self._connection.is_connected:
            await self._connection.connect()  # type: ignore[no-untyped-call]
        await self._connection.send_packed_command(b"".join(packed))
        return [await self._answer() for _ in packed]

    async def _answer(self) -> object:
        try:
            answer: object = await self._connection.read_response()
        except ResponseError as refused:  # an answer like any other; those that concern the whole connection are no ResponseError
            return refused
        return answer


def packed_command(arguments: tuple[bytes, ...]) -> bytes:
    """A command as it goes over the wire, three times as fast as redis-py's general way."""
    parts = [b"*%d\r\n" % len(arguments)]
    parts += [b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in arguments]
    return b"".join(parts)


def refuse(calls: Iterable[_Call], error: Exception) -> None:
    """Tells all that still wait why they get no answer."""
    for call in calls:
        if not call.answer.done():
            call.answer.set_exception(Unavailable(call.operation, kind(error), told(error)))


def kind(error: Exception) -> ApiErrorKind:
    """The class of a failure."""
    text = str(error)
    return next((kind for what, kind in _KINDS if (what in text if isinstance(what, str) else isinstance(error, what))), "other")


def told(error: Exception) -> str:
    """The failure in one line."""
    if isinstance(error, TimeoutError):
        return f"no answer within {PATIENCE:g} s"
    if isinstance(error, exceptions.AskError):  # MOVED too
        return "this server is a part of a Redis Cluster, which is not supported: use a server of its own, or Sentinels"
    return str(error).partition(" : ")[0].partition("\n")[0] or type(error).__name__
