"""One handler, every kind of return value: through Lambda's own runtime client, through the light one, and inline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from functions import returning
from functions.returning import DIFFERENT, VALUES

from poller.clock import SystemClock
from poller.core.model import Errored, Returned
from poller.executors.inline import InlineExecutor, InlineSpec, load
from poller.executors.process import ProcessExecutor, ProcessSpec
from poller.testing.doubles import RecordedEvents
from poller.testing.executors import invocation

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractAsyncContextManager

    from poller.executors.launch import RuntimeClient
    from poller.ports import Executor

    Opened = AbstractAsyncContextManager[Executor]
    Answered = tuple[str, bytes]

FUNCTIONS = Path(str(returning.__file__)).parent
NO_JSON = "Object of type RawJSON is not JSON serializable"

pytestmark = pytest.mark.rule("function.answer.encoding")


def process(client: RuntimeClient, *, handler: str = "returning.handler", **environment: str) -> ProcessExecutor:
    spec = ProcessSpec(name="f", handler=handler, code=FUNCTIONS, runtime_client=client, environment=environment)
    return ProcessExecutor(spec, RecordedEvents(), SystemClock())


def inline(handler: str = "returning.handler") -> InlineExecutor:
    return InlineExecutor(load(handler, FUNCTIONS), InlineSpec(name="f"), SystemClock())


async def answers(opened: Opened, names: Iterable[str]) -> dict[str, Answered]:
    """How the handler's answer to each name ended, and its bytes."""
    found: dict[str, Answered] = {}
    async with opened as executor:
        for name in names:
            answer = await executor.invoke(invocation({"name": name}))
            assert isinstance(answer, (Returned, Errored)), answer
            found[name] = (answer.kind if isinstance(answer, Errored) else "returned", answer.payload)
    return found


async def differences(one: Opened, other: Opened, names: Iterable[str]) -> dict[str, tuple[Answered, Answered]]:
    """The names whose answers are not the same; those of errors may differ in the spaces that JSON allows."""
    ours, theirs = await answers(one, names), await answers(other, names)
    pairs = {name: (ours[name], theirs[name]) for name in names}
    return {name: pair for name, pair in pairs.items() if normal(pair[0]) != normal(pair[1])}


def normal(answered: Answered) -> object:
    kind, payload = answered
    return answered if kind == "returned" else (kind, json.loads(payload))


async def test_the_light_client_answers_byte_for_byte_what_awslambdaric_does() -> None:
    assert await differences(process("light"), process("awslambdaric"), VALUES) == {}


async def test_inline_answers_byte_for_byte_what_awslambdaric_does() -> None:
    assert await differences(inline(), process("awslambdaric"), VALUES) == {}


async def test_what_simplejson_calls_raw_is_known_to_awslambdaric_only() -> None:
    """It is simplejson's own class; the light client and `poller` do without that package."""
    names = list(DIFFERENT)
    assert await answers(process("awslambdaric"), names) == {"raw json of simplejson": ("returned", b'{"a":  1}')}
    for client in (process("light"), inline()):
        ((kind, payload),) = (await answers(client, names)).values()
        error = json.loads(payload)
        assert (kind, error["errorType"]) == ("function_error", "Runtime.MarshalError")
        assert error["errorMessage"] == f"Unable to marshal response: {NO_JSON}"


async def test_a_coroutine_has_no_json_form_but_inline_it_is_awaited() -> None:
    names = ["none"]
    processes = [await answers(process(client, handler="returning.awaits"), names) for client in ("light", "awslambdaric")]
    for ((kind, payload),) in (each.values() for each in processes):
        assert (kind, json.loads(payload)["errorType"]) == ("function_error", "Runtime.MarshalError")
    assert await answers(inline("returning.awaits"), names) == {"none": ("returned", b"null")}
