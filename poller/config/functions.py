"""Functions: what a mapping invokes; which model says what may be written depends on the executor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import ValidationError
from pydantic import ValidationInfo as Info

from poller.config.http_function import HttpFunctionConfig
from poller.config.inline_function import InlineFunctionConfig
from poller.config.lambda_function import LambdaFunctionConfig
from poller.config.plugin_function import PluginFunctionConfig
from poller.config.problem import quote
from poller.config.process_function import ProcessFunctionConfig
from poller.config.section import Chosen
from poller.config.wording import fault, guess, must, one_of

if TYPE_CHECKING:
    from pydantic_core import InitErrorDetails

__all__ = [
    "FunctionConfig",
    "HttpFunctionConfig",
    "InlineFunctionConfig",
    "LambdaFunctionConfig",
    "PluginFunctionConfig",
    "ProcessFunctionConfig",
]

_Function = ProcessFunctionConfig | InlineFunctionConfig | HttpFunctionConfig | LambdaFunctionConfig | PluginFunctionConfig


def _by_executor(given: object, info: Info) -> _Function:
    if isinstance(given, _Function):
        return given
    if not isinstance(given, Mapping):
        raise must("must be a mapping (key: value)")
    name = _executor(given)
    if name is None:
        raise ValidationError.from_exception_data("function", [_no_executor(given)], hide_input=True)
    model = _MODELS.get(name)
    return PluginFunctionConfig.of(given, info) if model is None else model.model_validate(given, context=info.context)


def _executor(given: Mapping[str, object]) -> str | None:
    value = given.get("executor")
    return value if isinstance(value, str) and value else None


def _no_executor(given: Mapping[str, object]) -> InitErrorDetails:
    """Without an executor nobody knows which other keys are right: this is the only error of the function."""
    if given.get("executor") is not None:
        return fault(("executor",), f'"executor" must be {one_of(_MODELS)}, or the name of a plug-in')
    for key in given:
        if hint := guess(key, ("executor",)) if key != "executor" else "":
            return fault((key,), f"unknown key {quote(key)}{hint}", at="key")
    return fault(("executor",), 'missing key "executor", for example executor: process', at="parent")


_MODELS: Mapping[str, type[_Function]] = {
    "process": ProcessFunctionConfig,
    "inline": InlineFunctionConfig,
    "http": HttpFunctionConfig,
    "lambda": LambdaFunctionConfig,
}

FunctionConfig = Annotated[_Function, Chosen(_by_executor)]
"""A function; `executor` says which kind."""
