from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import pytest
import uvloop

from poller.executors.process import ProcessExecutor, ProcessSpec
from poller.testing import handlers
from poller.testing.doubles import RecordedEvents
from poller.testing.executors import (
    CONCURRENCY,
    FUNCTION_ARN,
    FUNCTION_NAME,
    MEMORY_SIZE,
    ExecutorContract,
    MakeExecutor,
    SystemClock,
)

CODE = Path(str(handlers.__file__)).parent


def make_process(handler: str) -> ProcessExecutor:
    spec = ProcessSpec(
        name=FUNCTION_NAME,
        arn=FUNCTION_ARN,
        handler=f"handlers.{handler}",
        code=CODE,
        memory_size=MEMORY_SIZE,
        maximum_concurrency=CONCURRENCY,
    )
    return ProcessExecutor(spec, RecordedEvents(), SystemClock())


class TestProcess(ExecutorContract):
    @pytest.fixture
    def make(self) -> MakeExecutor:
        return make_process


@pytest.mark.parametrize("promise", [name for name in dir(ExecutorContract) if name.startswith("test_")])
def test_the_contract_holds_on_uvloop(promise: str, tmp_path: Path) -> None:
    test = getattr(ExecutorContract(), promise)
    offered = {"make": make_process, "tmp_path": tmp_path}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test(**{name: offered[name] for name in inspect.signature(test).parameters}))
