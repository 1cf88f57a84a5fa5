"""Invokes a function of AWS Lambda, or of a server that speaks its Invoke API."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, assert_never

from poller.core.envelope import MAX_EVENT_BYTES
from poller.core.model import Errored, Figures, Refused, Returned, TooLarge
from poller.errors import PollerError, Unavailable
from poller.executors import payloads
from poller.executors.foreign import errored
from poller.executors.log_tail import read_tail
from poller.executors.worker import too_large
from poller.services import LambdaAnswer, LambdaInvoke, LambdaLost

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from poller.core.model import Answer, Invocation
    from poller.ports import Clock, WorkerEvents
    from poller.services import LambdaApi

GRACE: Final = 15.0
"""Seconds that the answer may take beyond the function's time-out: Lambda counts neither its initialisation (10 s at the most)
nor the way there and back, and what it says of a time-out is worth more than our guess."""

LONGEST_PAUSE: Final = 300.0
"""Seconds: nobody holds up a mapping for longer by a Retry-After."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LambdaSpec:
    """A function of Lambda.

    Attributes:
        function_name: a name, a partial ARN or an ARN, with or without a qualifier.
        qualifier: a version or an alias, where the name has none.
        tail: whether the end of its log is to come back.
        grace: seconds that an answer may take beyond the deadline.
    """

    function_name: str
    qualifier: str | None = None
    tail: bool = True
    grace: float = GRACE


class LambdaExecutor:
    """Calls Invoke. A function that runs there cannot be stopped: a cancelled invocation is only not waited for.

    `connect` makes the Api, for as long as its context is open.
    """

    def __init__(
        self, spec: LambdaSpec, connect: Callable[[], AbstractAsyncContextManager[LambdaApi]], events: WorkerEvents, clock: Clock
    ) -> None:
        self._spec = spec
        self._connect = connect
        self._events = events
        self._clock = clock
        self._api: LambdaApi | None = None
        self._connecting = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Raises `ConfigError` where no client can ever be made. Missing credentials are waited for, with each invocation."""
        with suppress(Unavailable):
            await self._connected()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Closes the connections."""
        await self._stack.aclose()

    async def invoke(self, invocation: Invocation) -> Answer:
        """See `poller.ports.Executor`."""
        size = len(invocation.event)
        if size > MAX_EVENT_BYTES:
            return TooLarge(size)
        begun = self._clock.monotonic()
        allowed = max(0.0, invocation.deadline - self._clock.time())
        spec = self._spec
        request = LambdaInvoke(
            function_name=spec.function_name, payload=invocation.event, qualifier=spec.qualifier, tail=spec.tail
        )
        try:
            api = await self._connected()
            answer = await api.invoke(request, allowed + spec.grace)
        except TimeoutError:
            return Errored("timeout", payloads.timed_out(invocation.request_id, allowed), self._figures(begun))
        except PollerError as error:
            return _refused(error)
        return self._judged(answer, invocation.request_id, self._figures(begun))

    async def _connected(self) -> LambdaApi:
        async with self._connecting:
            if self._api is None:
                self._api = await self._stack.enter_async_context(self._connect())
            return self._api

    def _judged(self, answer: LambdaAnswer | LambdaLost | TooLarge, request_id: str, figures: Figures) -> Answer:
        match answer:
            case LambdaAnswer():
                tail = read_tail(answer.log)
                for line in tail.lines:
                    self._events.output(line, stream="stdout", request_id=request_id)
                return _answer(answer, tail.figures or figures)
            case LambdaLost():
                return Errored("crash", payloads.broken_off(request_id, f"no answer came: {answer.detail}"), figures)
            case TooLarge():
                return answer
        assert_never(answer)

    def _figures(self, begun: float) -> Figures:
        return Figures(duration=self._clock.monotonic() - begun)


def _answer(answer: LambdaAnswer, figures: Figures) -> Answer:
    if answer.size:
        return Errored("function_error", too_large(answer.size), figures)
    if answer.function_error is not None:
        return errored(answer.payload, figures)
    return Returned(answer.payload, figures)


def _refused(error: PollerError) -> Refused:
    """The function did not run."""
    if isinstance(error, Unavailable):
        pause = None if error.retry_after is None else min(error.retry_after, LONGEST_PAUSE)
        return Refused("throttled" if error.kind == "throttled" else "unavailable", pause, str(error))
    return Refused("unavailable", detail=str(error))
