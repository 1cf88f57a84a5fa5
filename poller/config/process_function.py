"""A function that runs in worker processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field
from pydantic import ValidationInfo as Info

from poller.config.fields import (  # noqa: TC001  (pydantic reads them)
    FolderPath,
    Interpreter,
    Variable,
)
from poller.config.function import REFUSED, HandlerFunction
from poller.config.machine import this_machine
from poller.config.problem import quote
from poller.config.secret_files import each_filled_in
from poller.config.section import given_key, given_value, origin
from poller.config.wording import must, says

if TYPE_CHECKING:
    from pydantic_core import InitErrorDetails


def _runtime(text: object) -> object:
    if not isinstance(text, str) or text == "python":
        return text
    if text.startswith("python"):
        raise must('must be python: the version follows from the interpreter, "python: /usr/bin/python3.12"')
    if text.startswith(("nodejs", "provided", "java", "dotnet", "ruby", "go")):
        raise says(f"runtime {quote(text)} is not supported yet: use python")
    return text


def _credentials(text: object) -> object:
    if isinstance(text, str) and text not in {"none", "inherit"}:
        raise must("must be none or inherit: profiles are not supported yet, set AWS_PROFILE in environment instead")
    return text


def _variables(given: object) -> object:
    """Lambda has a level between: `Environment: {Variables: {...}}`."""
    inner = given_value(given, "variables")
    return inner if isinstance(given, Mapping) and len(given) == 1 and isinstance(inner, Mapping) else given


class ProcessFunctionConfig(HandlerFunction):
    """A handler that runs in worker processes of its own."""

    refused: ClassVar[Mapping[str, str]] = REFUSED

    executor: Literal["process"] = Field(
        validation_alias="executor",
        description="process: worker processes, so that a crash or a time-out harms nothing else.",
    )
    runtime: Annotated[Literal["python"], BeforeValidator(_runtime)] = Field(
        description="The language of the handler; python for now.",
        examples=["python"],
    )
    python: Interpreter | None = Field(
        default=None,
        description="The interpreter: a path, relative to the file, or a name found in PATH. Default: the one that runs poller.",
    )
    memory_size: int = Field(
        default=128,
        ge=1,
        description="MB that one worker may use. Default 128, as Lambda's; handlers that import much need more.",
    )
    environment: Mapping[Variable, str] = Field(
        default_factory=dict,
        repr=False,
        description="Environment variables of the handler, read as they are written (1.10 is not a number here). Default: none;"
        " poller's own environment is not passed on.",
    )
    environment_file: Mapping[Variable, FolderPath] = Field(
        default_factory=dict,
        description="Environment variables that are secrets: for each the file that holds its value, relative to the file. Read"
        " whenever the configuration is read; a line break at its end does not count. Default: none.",
    )
    maximum_concurrency: int | None = Field(
        default=None,
        ge=1,
        description="Invocations at the same time in this process. Default: two a CPU, as far as memory / memory_size goes, at"
        " least 2.",
    )
    credentials: Annotated[Literal["none", "inherit"], BeforeValidator(_credentials)] = Field(
        default="none",
        description="AWS credentials of the handler. Default none, because handlers are foreign code; inherit: poller's own.",
    )

    @classmethod
    def from_files(cls, given: dict[str, object], info: Info) -> list[InitErrorDetails]:
        """`environment_file`: what the files hold joins `environment`."""
        key = given_key(given, "environment")
        if key is not None:
            given[key] = _variables(given[key])
        return each_filled_in(given, "environment", origin(info).folder)

    @property
    def concurrency(self) -> int:
        """Invocations at the same time: as configured, or what this machine can carry."""
        return self.maximum_concurrency or this_machine().workers(self.memory_size)
