from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
from support.install_servers import AWS_LAMBDA_RIC, node, ric_installed

from poller.clock import SystemClock
from poller.executors.process import ProcessExecutor, ProcessSpec
from poller.testing.doubles import RecordedEvents
from poller.testing.executors import CONCURRENCY, FUNCTION_ARN, FUNCTION_NAME, MEMORY_SIZE, ExecutorContract

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poller.executors.launch import RuntimeClient
    from poller.testing.executors import MakeExecutor

FUNCTIONS = Path(__file__).parent.parent / "functions" / "node"
OF_PYTHON = {
    "frames": "Lambda's Node runtimes call the frames `trace`; test_node_errors has them",
    "marshal": "Lambda's Node runtimes have another name for it; test_node_answers has it",
}


def maker(module: str, code: Path = FUNCTIONS, client: RuntimeClient = "light", **environment: str) -> MakeExecutor:
    """Makes executors of the handlers in one file."""

    def make(handler: str) -> ProcessExecutor:
        spec = ProcessSpec(
            name=FUNCTION_NAME,
            arn=FUNCTION_ARN,
            runtime="nodejs",
            runtime_client=client,
            node=str(node()),
            handler=f"{module}.{handler}",
            code=code,
            environment=environment,
            memory_size=MEMORY_SIZE,
            maximum_concurrency=CONCURRENCY,
        )
        return ProcessExecutor(spec, RecordedEvents(), SystemClock())

    return make


class TestModules(ExecutorContract):
    """ES modules with async functions, on the light client."""

    declined: ClassVar[Mapping[str, str]] = {**OF_PYTHON, "unmarshal": "JSON.parse names what is wrong; test_node_errors has it"}

    @pytest.fixture
    def make(self) -> MakeExecutor:
        return maker("conforming")


class TestCallbacks(TestModules):
    """CommonJS with callbacks, by the rules that Lambda had when it had callbacks."""

    @pytest.fixture
    def make(self) -> MakeExecutor:
        return maker("classic", AWS_EXECUTION_ENV="AWS_Lambda_nodejs22.x")


@pytest.mark.slow
@pytest.mark.skipif(not ric_installed(), reason="aws-lambda-ric is not compiled: `make ric` does it, or says what it lacks")
class TestAwsLambdaRic(ExecutorContract):
    """The same ES modules on Lambda's own client, as it comes from npm."""

    declined: ClassVar[Mapping[str, str]] = {**OF_PYTHON, "unmarshal": "aws-lambda-ric ends when an event is no JSON"}

    @pytest.fixture
    def make(self, tmp_path: Path) -> MakeExecutor:
        code = tmp_path / "code"
        (code / "node_modules").mkdir(parents=True)
        (code / "node_modules" / "aws-lambda-ric").symlink_to(AWS_LAMBDA_RIC)
        (code / "conforming.mjs").write_bytes((FUNCTIONS / "conforming.mjs").read_bytes())
        return maker("conforming", code, "aws-lambda-ric")
