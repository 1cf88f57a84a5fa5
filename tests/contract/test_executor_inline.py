from __future__ import annotations

from pathlib import Path

import pytest
from contract.executor_contract import (
    CONCURRENCY,
    FUNCTION_ARN,
    FUNCTION_NAME,
    MEMORY_SIZE,
    ExecutorContract,
    MakeExecutor,
    SystemClock,
)

from poller.executors.inline import InlineExecutor, InlineSpec, load

FUNCTIONS = Path(__file__).parent.parent / "functions"
SPEC = InlineSpec(name=FUNCTION_NAME, arn=FUNCTION_ARN, memory_size=MEMORY_SIZE, maximum_concurrency=CONCURRENCY)


def maker(module: str) -> MakeExecutor:
    def make(handler: str) -> InlineExecutor:
        return InlineExecutor(load(f"{module}.{handler}", FUNCTIONS), SPEC, SystemClock())

    return make


class TestInlineSync(ExecutorContract):
    @pytest.fixture
    def make(self) -> MakeExecutor:
        return maker("conforming")


class TestInlineAsync(ExecutorContract):
    @pytest.fixture
    def make(self) -> MakeExecutor:
        return maker("conforming_async")
