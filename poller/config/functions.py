"""Functions: what a mapping invokes, and the executor that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic import ValidationInfo as Info

from poller.config.fields import FolderPath, Handler, Interpreter, Seconds, Variable  # noqa: TC001  (pydantic reads them)
from poller.config.machine import this_machine
from poller.config.problem import quote
from poller.config.secret_files import each_filled_in
from poller.config.section import Chosen, LambdaSection, given_key, given_value, origin
from poller.config.wording import fault, guess, must, says

if TYPE_CHECKING:
    from pydantic_core import InitErrorDetails

EXECUTORS = ("process", "inline")
EXECUTORS_TO_COME = ("http", "lambda")
INLINE_CONCURRENCY = 1000

_ABSENT = "is not supported yet: "
_REFUSED = {
    "layers": _ABSENT + "put their content below the folder of code",
    "ephemeral_storage": _ABSENT + "leave it out",
    "logging_config": _ABSENT + "use log at the top of the file",
    "reserved_concurrent_executions": "is Lambda's name: use maximum_concurrency",
    "code_uri": "is the name in SAM: use code",
    "function_name": "is the key of the function itself: leave it out",
    "role": "means nothing here: see credentials",
    "url": _ABSENT + "it belongs to executor http",
}


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


class BaseFunction(LambdaSection):
    """What all functions have."""

    handler: Handler = Field(
        description="What to call: module.function, the module found below `code`.",
        examples=["app.handler"],
    )
    code: FolderPath = Field(
        default=Path(),
        description="Folder that holds the handler's module, relative to the file. Default: the folder of the file.",
    )
    timeout: Seconds = Field(
        default=3,
        description="Seconds that one invocation may take. Default 3, as Lambda's; unlike there, any length is allowed.",
    )


class ProcessFunctionConfig(BaseFunction):
    """A handler that runs in worker processes of its own."""

    refused: ClassVar[Mapping[str, str]] = _REFUSED

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


class InlineFunctionConfig(BaseFunction):
    """A handler, sync or async, that runs inside of poller."""

    refused: ClassVar[Mapping[str, str]] = _REFUSED | dict.fromkeys(
        ("runtime", "python", "memory_size", "environment", "environment_file", "credentials"),
        "belongs to executor process: an inline handler runs inside of poller, with all that poller has",
    )

    executor: Literal["inline"] = Field(
        validation_alias="executor",
        description="inline: called inside of poller, the fastest; for handlers that can be trusted like poller itself.",
    )
    maximum_concurrency: int = Field(
        default=INLINE_CONCURRENCY,
        ge=1,
        description="Invocations at the same time in this process. Default 1000, Lambda's limit of an account.",
    )

    @property
    def concurrency(self) -> int:
        """Invocations at the same time."""
        return self.maximum_concurrency


def _by_executor(given: object, info: Info) -> ProcessFunctionConfig | InlineFunctionConfig:
    if isinstance(given, ProcessFunctionConfig | InlineFunctionConfig):
        return given
    if not isinstance(given, Mapping):
        raise must("must be a mapping (key: value)")
    model = _MODELS.get(_executor(given))
    if model is None:
        raise ValidationError.from_exception_data("function", [_no_executor(given)], hide_input=True)
    return model.model_validate(given, context=info.context)


def _executor(given: Mapping[str, object]) -> str | None:
    value = given.get("executor")
    return value if isinstance(value, str) else None


def _no_executor(given: Mapping[str, object]) -> InitErrorDetails:
    """Without an executor nobody knows which other keys are right: this is the only error of the function."""
    value = given.get("executor")
    if value in EXECUTORS_TO_COME:
        return fault(("executor",), f"executor {quote(value)} is not supported yet: use process or inline")
    if value is not None:
        hint = guess(value, (*EXECUTORS, *EXECUTORS_TO_COME))
        return fault(("executor",), f'"executor" must be process or inline (plug-ins are not supported yet){hint}')
    for key in given:
        if hint := guess(key, ("executor",)) if key != "executor" else "":
            return fault((key,), f"unknown key {quote(key)}{hint}", at="key")
    return fault(("executor",), 'missing key "executor", for example executor: process', at="parent")


_MODELS: Mapping[str | None, type[ProcessFunctionConfig | InlineFunctionConfig]] = {
    "process": ProcessFunctionConfig,
    "inline": InlineFunctionConfig,
}

FunctionConfig = Annotated[ProcessFunctionConfig | InlineFunctionConfig, Chosen(_by_executor)]
"""A function; `executor` says which kind."""
