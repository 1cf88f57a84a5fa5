from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from poller.executors.inline import InlineExecutor, InlineSpec, load
from poller.testing import handlers
from poller.testing.executors import (
    CONCURRENCY,
    FUNCTION_ARN,
    FUNCTION_NAME,
    MEMORY_SIZE,
    ExecutorContract,
    MakeExecutor,
    SystemClock,
)

FUNCTIONS = Path(__file__).parent.parent / "functions"
SPEC = InlineSpec(name=FUNCTION_NAME, arn=FUNCTION_ARN, memory_size=MEMORY_SIZE, maximum_concurrency=CONCURRENCY)


def maker(module: str, code: Path) -> MakeExecutor:
    def make(handler: str) -> InlineExecutor:
        return InlineExecutor(load(f"{module}.{handler}", code), SPEC, SystemClock())

    return make


class TestInlineSync(ExecutorContract):
    @pytest.fixture
    def make(self) -> MakeExecutor:
        return maker("handlers", Path(str(handlers.__file__)).parent)


class TestInlineAsync(ExecutorContract):
    own_files: ClassVar[tuple[str, ...]] = ("/handlers.", "/conforming_async.")

    @pytest.fixture
    def make(self) -> MakeExecutor:
        return maker("conforming_async", FUNCTIONS)
