"""Runs a function inside the daemon: for the speed of it, and for code that is trusted.

An `async def` handler runs on the event loop and is cancelled at its deadline. Any other handler runs in a thread, which nobody
can interrupt: a time-out, or the end of a cancelled invocation, is reported only when the handler has returned.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

import orjson

from poller.core.envelope import MAX_EVENT_BYTES
from poller.core.model import Errored, Figures, Returned, TooLarge
from poller.errors import ConfigError
from poller.executors import payloads, worker
from poller.executors.waiting import outlast

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from poller.core.model import Answer, Invocation
    from poller.executors.worker import Handler
    from poller.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineSpec:
    """An inline function.

    Attributes:
        name: as its context shows it.
        arn: for invocations that name none.
        memory_size: MB; only told to the context.
        maximum_concurrency: how many run at the same time: for a handler that is not `async`, the number of threads.
    """

    name: str
    arn: str = ""
    memory_size: int = 128
    maximum_concurrency: int = 1000


class InlineExecutor:
    """Calls a handler in this process."""

    def __init__(self, handler: Handler, spec: InlineSpec, clock: Clock) -> None:
        self._handler = handler
        self._arn = spec.arn
        self._facts = (spec.name, "$LATEST", str(spec.memory_size), f"/aws/lambda/{spec.name}", "inline")
        self._clock = clock
        self._on_loop = any(inspect.iscoroutinefunction(each) for each in (handler, type(handler).__call__))
        self._threads = ThreadPoolExecutor(spec.maximum_concurrency, f"inline-{spec.name}")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Ends the threads. They are idle: an invocation ends only after its thread's work."""
        self._threads.shutdown()

    async def invoke(self, invocation: Invocation) -> Answer:
        """See `poller.ports.Executor`."""
        if len(invocation.event) > MAX_EVENT_BYTES:
            return TooLarge(len(invocation.event))
        run = _Run(invocation, self._clock)
        call = worker.Call(invocation.request_id, invocation.deadline, invocation.arn or self._arn, invocation.trace)
        context = worker.Context(call, self._facts, self._clock.time)
        return await (self._await(run, context) if self._on_loop else self._call_in_thread(run, context))

    async def _await(self, run: _Run, context: worker.Context) -> Answer:
        task = cast("asyncio.Task[object]", asyncio.current_task())
        cancellations = task.cancelling()
        limit = asyncio.timeout(run.allowed)
        try:
            async with limit:
                answer = run.returned(await cast("Awaitable[object]", self._handler(run.event(), context)))
        except asyncio.CancelledError as error:
            if task.cancelling() > cancellations:
                raise
            answer = run.raised(error)  # nobody cancelled us: the function raised it
        except BaseException as error:  # noqa: BLE001 - whatever the function raises is its answer
            answer = run.raised(error)
        if task.cancelling() > cancellations:
            raise asyncio.CancelledError  # the function swallowed it
        return run.timed_out() if limit.expired() else answer

    async def _call_in_thread(self, run: _Run, context: worker.Context) -> Answer:
        def call() -> Answer:
            try:
                return run.returned(self._handler(run.event(), context))
            except BaseException as error:  # noqa: BLE001 - whatever the function raises is its answer
                return run.raised(error)

        answer = asyncio.get_running_loop().run_in_executor(self._threads, call)
        await outlast(answer)
        return run.timed_out() if run.seconds > run.allowed else answer.result()


class _Run:
    """One invocation under way, and what to answer however it ends."""

    __slots__ = ("_clock", "_invocation", "_started", "allowed")

    def __init__(self, invocation: Invocation, clock: Clock) -> None:
        self._invocation = invocation
        self._clock = clock
        self._started = clock.monotonic()
        self.allowed = invocation.deadline - clock.time()

    @property
    def seconds(self) -> float:
        return self._clock.monotonic() - self._started

    def event(self) -> object:
        try:
            return orjson.loads(self._invocation.event)
        except orjson.JSONDecodeError as error:
            raise worker.Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from error

    def returned(self, value: object) -> Answer:
        payload = worker.encode(value)
        figures = Figures(duration=self.seconds)
        if len(payload) > worker.MAX_ANSWER_BYTES:
            return Errored("function_error", worker.too_large(len(payload)), figures)
        return Returned(payload, figures)

    def raised(self, error: BaseException) -> Answer:
        request_id = self._invocation.request_id
        figures = Figures(duration=self.seconds)
        if isinstance(error, (Exception, asyncio.CancelledError)):
            return Errored("function_error", worker.failure(error, request_id), figures)
        return Errored("crash", payloads.exited(request_id, _exit_status(error)), figures)

    def timed_out(self) -> Answer:
        payload = payloads.timed_out(self._invocation.request_id, self.allowed)
        return Errored("timeout", payload, Figures(duration=self.seconds))


def _exit_status(error: BaseException) -> int:
    """The status that a process of its own would have ended with."""
    code = error.code if isinstance(error, SystemExit) else 1
    return code if isinstance(code, int) else int(code is not None)


def load(name: str, code: Path) -> Handler:
    """The handler `module.function` below a folder. Raises `ConfigError`, which names Lambda's type of error.

    All inline functions share one Python: a module name that means another file by now is refused.
    """
    folder = str(code.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        handler = worker.load(name)
    except worker.Fault as fault:
        raise ConfigError(f"handler {name} in {code}: {fault.error_type}: {fault}") from fault
    except (Exception, SystemExit) as error:
        raise ConfigError(f"handler {name} in {code}: importing it raises {type(error).__name__}: {error}") from error
    if not callable(handler):
        raise ConfigError(f"handler {name} in {code}: Runtime.HandlerNotFound: it is not a function")
    _refuse_namesake(name, folder)
    return handler


def _refuse_namesake(name: str, folder: str) -> None:
    top = name.replace("/", ".").split(".")[0]
    here = PathFinder.find_spec(top, [folder])
    loaded = getattr(sys.modules.get(top), "__file__", None)
    if here is not None and here.origin is not None and loaded is not None and Path(here.origin) != Path(loaded):
        remedy = "rename one of them, or use `executor: process`"
        raise ConfigError(f"handler {name} in {folder}: another module {top} is in use already ({loaded}): {remedy}")
