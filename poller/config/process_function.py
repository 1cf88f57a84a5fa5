"""A function that runs in worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field
from pydantic import ValidationInfo as Info

from poller.config.fields import (  # noqa: TC001  (pydantic reads them)
    FolderPath,
    Interpreter,
    Variable,
)
from poller.config.function import REFUSED, HandlerFunction
from poller.config.machine import this_machine
from poller.config.runtimes import Credentials, Entry, Runtime, RuntimeClient, runtime_rules
from poller.config.secret_files import each_filled_in
from poller.config.section import given_key, given_value, origin
from poller.config.wording import fault

if TYPE_CHECKING:
    from pydantic_core import InitErrorDetails


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
    runtime: Runtime = Field(
        description="The language of the handler: python, nodejs, or provided: an executable bootstrap below `code` that speaks"
        " Lambda's Runtime API, in any language.",
        examples=["python"],
    )
    runtime_client: RuntimeClient = Field(
        default="light",
        description="What calls the handler: light, poller's own; awslambdaric (python) or aws-lambda-ric (nodejs), Lambda's"
        " own, which must be installed with the function. Default light: it starts sooner and costs less.",
    )
    handler: Entry = Field(
        description="What to call: module.function for python, file.export for nodejs, found below `code`; for provided it is"
        " handed on as _HANDLER.",
        examples=["app.handler"],
    )
    python: Interpreter | None = Field(
        default=None,
        description="The interpreter of runtime python: a path, relative to the file, or a name found in PATH. Default: the one"
        " that runs poller.",
    )
    node: Interpreter | None = Field(
        default=None,
        description="The interpreter of runtime nodejs: a path, relative to the file, or a name found in PATH. Default: node, as"
        " found in PATH.",
    )
    memory_size: int = Field(
        default=128,
        ge=1,
        description="MB that one worker and its children may use; with more they are killed, and the invocation is an `oom`."
        " Default 128, as Lambda's; handlers that import much need more.",
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
    provisioned_concurrency: int = Field(
        default=0,
        ge=0,
        description="Workers that are always there: started before the function's mappings are enabled, kept when idle, replaced"
        " when they end. At most maximum_concurrency. Default 0: the first invocations wait for workers to start.",
    )
    idle_timeout: float | None = Field(
        default=600,
        gt=0,
        description="Seconds after which an idle worker ends, unless it is one of provisioned_concurrency; null: never. Default"
        " 600: a batch every few minutes still finds a warm worker, and the memory of a burst is given back soon.",
    )
    maximum_invocations: int | None = Field(
        default=None,
        ge=1,
        description="Invocations after which a worker is replaced, for handlers that leak. Default: none, it serves for as long"
        " as it is needed.",
    )
    maximum_age: float | None = Field(
        default=None,
        gt=0,
        description="Seconds after which a worker is replaced, between two invocations: for credentials or data that are loaded"
        " once. Default: none.",
    )
    credentials: Credentials = Field(
        default="none",
        description="AWS credentials of the handler: none; inherit, poller's own; or the name of a profile in the files that"
        " poller itself reads. Default none, because handlers are foreign code.",
    )

    @classmethod
    def from_files(cls, given: dict[str, object], info: Info) -> list[InitErrorDetails]:
        """`environment_file`: what the files hold joins `environment`."""
        key = given_key(given, "environment")
        if key is not None:
            given[key] = _variables(given[key])
        return each_filled_in(given, "environment", origin(info).folder)

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
        """Handler and interpreter fit the runtime. There cannot be more workers always than there may be ever."""
        yield from runtime_rules(given)
        key, always = given_key(given, "provisioned_concurrency"), given_value(given, "provisioned_concurrency")
        most = given_value(given, "maximum_concurrency")
        if key is not None and isinstance(always, int) and isinstance(most, int) and always > most:
            limit = given_key(given, "maximum_concurrency") or ""
            yield fault((key,), f'"{key}" must not be greater than "{limit}"')

    @property
    def own_concurrency(self) -> int:
        """Invocations at the same time: as configured, or what this machine can carry."""
        return self.maximum_concurrency or max(this_machine().workers(self.memory_size), self.provisioned_concurrency)
