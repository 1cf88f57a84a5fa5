"""Functions: what a mapping invokes; which model says what may be written depends on the executor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import ValidationError
from pydantic import ValidationInfo as Info

from poller.config.inline_function import InlineFunctionConfig
from poller.config.problem import quote
from poller.config.process_function import ProcessFunctionConfig
from poller.config.section import Chosen
from poller.config.wording import fault, guess, must

if TYPE_CHECKING:
    from pydantic_core import InitErrorDetails

__all__ = ["FunctionConfig", "InlineFunctionConfig", "ProcessFunctionConfig"]

EXECUTORS = ("process", "inline")
EXECUTORS_TO_COME = ("http", "lambda")


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
