"""A program in shell, with a call of curl for each request, or with bash's own sockets where there is no curl."""

from __future__ import annotations

import asyncio
import inspect
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
import uvloop

from poller.executors.process import Lifecycle, ProcessExecutor, ProcessSpec
from poller.testing.doubles import RecordedEvents
from poller.testing.executors import (
    CONCURRENCY,
    FUNCTION_ARN,
    FUNCTION_NAME,
    MEMORY_SIZE,
    ExecutorContract,
    MakeExecutor,
    SystemClock,
    promises,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

CODE = Path(__file__).parent.parent / "functions" / "provided"
NEEDS_JSON = "a shell takes and gives bytes: it knows of no JSON"


def make_provided(client: str, handler: str) -> ProcessExecutor:
    spec = ProcessSpec(
        name=FUNCTION_NAME,
        arn=FUNCTION_ARN,
        runtime="provided",
        handler=handler,
        code=CODE,
        environment={"CLIENT": client},
        memory_size=MEMORY_SIZE,
        maximum_concurrency=CONCURRENCY,
    )
    return ProcessExecutor(spec, RecordedEvents(), SystemClock(), Lifecycle(maximum_concurrency=CONCURRENCY))


class TestBash(ExecutorContract):
    declined: ClassVar[Mapping[str, str]] = {
        "frames": "an error of a shell has no frames",
        "marshal": NEEDS_JSON,
        "unmarshal": NEEDS_JSON,
    }

    @pytest.fixture
    def make(self) -> MakeExecutor:
        return partial(make_provided, "bash")


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
class TestCurl(TestBash):
    @pytest.fixture
    def make(self) -> MakeExecutor:
        return partial(make_provided, "curl")


@pytest.mark.parametrize("promise", sorted(set(promises()) - set(TestBash.declined)))
def test_the_contract_holds_on_uvloop(promise: str, tmp_path: Path) -> None:
    test = getattr(TestBash(), promises()[promise])
    offered = {"make": partial(make_provided, "bash"), "tmp_path": tmp_path}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test(**{name: offered[name] for name in inspect.signature(test).parameters}))
