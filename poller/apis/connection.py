"""One connection to a server that is asked one thing at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from poller.apis.http1 import AnswerReader, BadAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from poller.apis.http1 import Answer
    from poller.errors import ApiErrorKind


class WireError(Exception):
    """No answer came, or none that can be read. The message holds nothing of the request.

    Attributes:
        kind: what it counts as.
    """

    def __init__(self, kind: ApiErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind: ApiErrorKind = kind


class Connection(asyncio.Protocol):
    """Asks and reads. Whatever goes wrong ends the connection.

    Attributes:
        idle_since: when the last answer was complete; steady, by the loop.
    """

    def __init__(self, read_timeout: float, lost: Callable[[Connection], None]) -> None:
        self.idle_since = 0.0
        self._read_timeout = read_timeout
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._reader: AnswerReader | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    @property
    def usable(self) -> bool:
        """It is open, and nothing is left of the last answer, or of its request.

        Of a caller that gave up something is left: the answer to come, which would be taken for that to another request.
        """
        return not self._over and self._waiter is None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> Answer:
        """Sends a request, and waits for its answer: for `read_timeout` between two pieces of it. Raises `WireError`."""
        waiter: asyncio.Future[Answer] = self._loop.create_future()
        self._waiter = waiter
        self._reader = AnswerReader()
        self._heard = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_at(self._heard + self._read_timeout, self._look)
        self._transport.write(request)
        return await waiter

    def abort(self) -> None:
        """Ends it."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._transport.abort()

    # ---------------------------------------------------------------------------------------------------- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._over:
            return
        if self._reader is None:
            self.abort()  # nobody asked
            return
        self._heard = self._loop.time()
        try:
            if self._reader.feed(data):
                self._answered()
        except BadAnswer as error:
            self._failed(WireError("connection", f"bad answer: {error}"))

    def eof_received(self) -> None:
        """See `asyncio.Protocol`. What is half closed is of no use to us."""
        if self._reader is not None and self._reader.end():
            self._answered()

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._failed(WireError("connection", f"connection lost: {error}" if error else "the server hung up"))
        self._lost(self)

    # ---------------------------------------------------------------------------------------------------------------- endings

    def _answered(self) -> None:
        reader, waiter = self._reader, self._waiter
        assert reader is not None and reader.answer is not None  # noqa: PT018, S101  the reader said so
        reusable = reader.reusable and not self._transport.get_write_buffer_size()  # or it answered before it had heard all
        self._reader = self._waiter = None
        self.idle_since = self._heard
        if waiter is not None and not waiter.done():
            waiter.set_result(reader.answer)
        if not reusable:
            self.abort()

    def _failed(self, error: WireError) -> None:
        waiter = self._waiter
        self._reader = self._waiter = None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        if not self._over:
            self.abort()

    def _look(self) -> None:
        """Whether the server has been silent for too long. One timer serves many requests, for that is cheaper."""
        self._timer = None
        if self._waiter is None:
            return
        due = self._heard + self._read_timeout
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._look)
        else:
            self._failed(WireError("timeout", f"nothing came for {self._read_timeout:g} s"))
