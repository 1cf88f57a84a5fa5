from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Literal

import pytest
import uvloop
from contract.executor_contract import (
    CONCURRENCY,
    FUNCTION_ARN,
    FUNCTION_NAME,
    MEMORY_SIZE,
    ExecutorContract,
    MakeExecutor,
    SystemClock,
)

from poller.executors.process import ProcessExecutor, ProcessSpec

FUNCTIONS = Path(__file__).parent.parent / "functions"


class Unobserved:
    """Nobody looks."""

    def output(self, line: str, *, stream: Literal["stdout", "stderr"], request_id: str | None) -> None: ...

    def initialised(self, seconds: float) -> None: ...

    def ended(self, reason: Literal["crash", "oom", "timeout", "reload"]) -> None: ...


def make_process(handler: str) -> ProcessExecutor:
    spec = ProcessSpec(
        name=FUNCTION_NAME,
        arn=FUNCTION_ARN,
        handler=f"conforming.{handler}",
        code=FUNCTIONS,
        memory_size=MEMORY_SIZE,
        maximum_concurrency=CONCURRENCY,
    )
    return ProcessExecutor(spec, Unobserved(), SystemClock())


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
