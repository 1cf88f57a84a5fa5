"""Which program runs a handler: its language, its interpreter, and what the handler is called there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator

from poller.config.fields import handler_of_python
from poller.config.problem import quote
from poller.config.section import given_key, given_text, given_value
from poller.config.wording import fault, must, one_of, says

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic_core import InitErrorDetails

    Faults = Iterator[InitErrorDetails]

RUNTIMES: Final = ("python", "nodejs", "provided")
CLIENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "python": ("light", "awslambdaric"),
    "nodejs": ("light", "aws-lambda-ric"),
    "provided": (),
}
INTERPRETERS: Final[Mapping[str, str]] = {"python": "python", "node": "nodejs"}
"""Keys that name an interpreter, and the runtime that each is for."""

_OTHER_LANGUAGES = ("java", "dotnet", "ruby", "go")
_HANDLER_OF_NODE = re.compile(r"[^\s/]+(?:/[^\s/]+)*")
_LONGEST_HANDLER = 128
_PROFILE = re.compile(r"[^\x00-\x1f\x7f\[\]]+")


def _runtime(text: object) -> object:
    if not isinstance(text, str) or text in RUNTIMES:
        return text
    if text.startswith("python"):
        raise must('must be python: the version follows from the interpreter, "python: /usr/bin/python3.12"')
    if text.startswith("nodejs"):
        raise must('must be nodejs: the version follows from the interpreter, "node: /usr/bin/node"')
    if text.startswith("provided"):
        raise must("must be provided: the system is the one that poller runs on")
    if text.startswith(_OTHER_LANGUAGES):
        raise says(f"runtime {quote(text)} is not supported: use provided, with a program bootstrap that starts it")
    return text


def _can_be_a_handler(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_HANDLER and text.isprintable()


def _entry(text: str) -> str:
    if not _can_be_a_handler(text):
        raise must(f"must be one line of at most {_LONGEST_HANDLER} characters")
    return text


def _credentials(text: str) -> str:
    if not _PROFILE.fullmatch(text):
        raise must("must be none, inherit, or the name of a profile")
    return text


Runtime = Annotated[Literal["python", "nodejs", "provided"], BeforeValidator(_runtime)]
"""The language of a handler, without its version."""

RuntimeClient = Literal["light", "awslambdaric", "aws-lambda-ric"]
"""What calls the handler there."""

Entry = Annotated[str, AfterValidator(_entry)]
"""A handler, as its runtime reads it."""

Credentials = Annotated[str, AfterValidator(_credentials)]
"""`none`, `inherit`, or the name of a profile."""


def runtime_rules(given: Mapping[str, object]) -> Faults:
    """What does not fit the runtime, in a section as written."""
    runtime = given_text(given, "runtime")
    yield from _handler(given, runtime)
    if runtime in RUNTIMES:
        yield from _client(given, runtime)
        yield from _interpreters(given, runtime)


def _handler(given: Mapping[str, object], runtime: str | None) -> Faults:
    key, handler = given_key(given, "handler"), given_text(given, "handler")
    if key is None or handler is None or not _can_be_a_handler(handler):
        return
    language = "python" if runtime is None else next((name for name in RUNTIMES if runtime.startswith(name)), None)
    if language == "nodejs" and not _handler_of_node(handler):
        yield fault((key,), f'"{key}" must be "file.export", for example index.handler')
    if language == "python" and not handler_of_python(handler):
        yield fault((key,), f'"{key}" must be "module.function", for example app.handler')


def _handler_of_node(text: str) -> bool:
    return _HANDLER_OF_NODE.fullmatch(text) is not None and "." in text.rpartition("/")[2].strip(".")


def _client(given: Mapping[str, object], runtime: str) -> Faults:
    key, client = given_key(given, "runtime_client"), given_value(given, "runtime_client")
    if key is None or client in CLIENTS[runtime] or not any(client in names for names in CLIENTS.values()):
        return
    if not CLIENTS[runtime]:
        yield fault((key,), f'"{key}" has no place in runtime {runtime}: bootstrap is the client', at="key")
    else:
        yield fault((key,), f'"{key}" must be {one_of(CLIENTS[runtime])} in runtime {runtime}')


def _interpreters(given: Mapping[str, object], runtime: str) -> Faults:
    for field, language in INTERPRETERS.items():
        key = given_key(given, field)
        if key is not None and given[key] is not None and language != runtime:
            yield fault((key,), f'"{key}" belongs to runtime {language}', at="key")
