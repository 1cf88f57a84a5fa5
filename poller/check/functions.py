"""Questions about functions: whether their handlers can be loaded. None is invoked, but their modules are imported."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from poller import wiring
from poller.config import ProcessFunctionConfig
from poller.core.model import Answer, Errored
from poller.core.response import error_text
from poller.errors import ConfigError
from poller.invocation import function_arn
from poller.wiring import EXECUTORS, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from poller.check.finding import Finding, Subject
    from poller.config import Config, InlineFunctionConfig
    from poller.ports import Clock, WorkerCount, WorkerEnd


class Silence:
    """`WorkerEvents` that remembers how long a start took, and nothing else."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def output(self, line: str, *, stream: Literal["stdout", "stderr"], request_id: str | None) -> None:
        """See `WorkerEvents.output`."""

    def initialised(self, seconds: float) -> None:
        """See `WorkerEvents.initialised`."""
        self.seconds = seconds

    def not_initialised(self, why: Literal["failed", "refused"]) -> None:
        """See `WorkerEvents.not_initialised`."""

    def ended(self, reason: WorkerEnd) -> None:
        """See `WorkerEvents.ended`."""

    def backing_off(self, failures: int, seconds: float) -> None:
        """See `WorkerEvents.backing_off`."""

    def workers(self, count: Callable[[], WorkerCount]) -> None:
        """See `WorkerEvents.workers`."""


async def ask_process(name: str, config: Config, clock: Clock, about: Subject) -> list[Finding]:
    """Whether a worker process starts and loads the handler. It is dead when this returns, cancelled or not."""
    from poller.executors.process import ProcessExecutor  # noqa: PLC0415  (adapters are imported where they are used)

    events, settings = Silence(), config.functions[name]
    assert isinstance(settings, ProcessFunctionConfig)  # noqa: S101  (the kind says so)
    settings = settings.model_copy(update={"maximum_concurrency": 1, "provisioned_concurrency": 1})
    worker = Worker(name=name, arn=function_arn(config, name), config=settings, events=events, clock=clock)
    executor = EXECUTORS[settings.executor](worker)
    assert isinstance(executor, ProcessExecutor)  # noqa: S101  (the kind says so)
    async with executor:
        trouble = await executor.warm()
    if trouble is None:
        return [about.ok(f"a worker loads {settings.handler} in {events.seconds:.2f} s")]
    return [about.failed(f"{settings.handler}: {_described(trouble)}", _remedy(settings.code))]


async def ask_plugin(name: str, config: Config, clock: Clock, about: Subject) -> list[Finding]:
    """Whether the executor of a plug-in can be made, opened and closed. It is asked for nothing else."""
    kind = config.functions[name].executor
    worker = Worker(name=name, arn=function_arn(config, name), config=config.functions[name], events=Silence(), clock=clock)
    try:
        async with wiring.executor(worker):
            return [about.ok(f"executor {kind} can be opened")]
    except Exception as error:  # noqa: BLE001 - foreign code may raise anything
        trouble = str(error) if isinstance(error, ConfigError) else repr(error)
        return [about.failed(f"executor {kind} cannot be opened: {trouble}", "see the documentation of the plug-in")]


def _described(trouble: Answer) -> str:
    """The error in one line, without the id of an invocation that there was none of."""
    return error_text(trouble.payload).replace("RequestId: Error: ", "") if isinstance(trouble, Errored) else str(trouble)


def _remedy(code: object) -> str:
    return f"the module must be below {code}, and what it imports must be installed there or in the function's `python`"


async def ask_inline(functions: dict[Subject, InlineFunctionConfig]) -> list[Finding]:
    """Whether these handlers can be imported, all by one Python, as `poller run` would: names may collide."""
    asked = [[each.handler, os.fspath(each.code)] for each in functions.values()]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "poller.check.importing", json.dumps(asked)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return list(_judge_imports(functions, [json.loads(line) for line in output.splitlines()]))


def _judge_imports(functions: dict[Subject, InlineFunctionConfig], said: list[str]) -> Iterator[Finding]:
    """A line for each function: what is wrong with it, or nothing. The lines end where an import ended the process."""
    for (about, config), index in zip(functions.items(), range(len(functions)), strict=True):
        trouble = said[index] if index < len(said) else "importing it, or one before it, ended the process"
        if trouble:
            yield about.failed(trouble, _remedy(config.code))
        else:
            yield about.ok(f"{config.handler} can be imported")
