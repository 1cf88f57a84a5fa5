from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from support.noding import NodeFunction

from poller.testing.executors import FUNCTION_ARN, REQUEST_ID, errored, invocation, returned

if TYPE_CHECKING:
    from pathlib import Path

    from poller.core.model import Invocation

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

TALKING = """
console.log("loading %d", 1);
export const handler = async () => {
  console.log("plain", {a: 1});
  console.debug("two\\nlines");
  console.warn(new RangeError("careful"));
  console.fatal("over");
  process.stdout.write("raw\\n");
};
"""


@pytest.mark.rule("function.node.log")
async def test_each_message_is_a_line_with_time_request_id_and_level(tmp_path: Path) -> None:
    async with NodeFunction(tmp_path, TALKING) as function:
        await function()
    lines = [line.text for line in function.events.lines]
    fields = [line.split("\t") for line in lines[:-1]]
    assert all(TIME.fullmatch(time) for time, *_ in fields)
    assert [tuple(rest[:2]) for _, *rest in fields] == [
        ("-", "INFO"),
        (REQUEST_ID, "INFO"),
        (REQUEST_ID, "DEBUG"),
        (REQUEST_ID, "WARN"),
        (REQUEST_ID, "FATAL"),
    ]
    assert [line[3] for line in fields[:3]] == ["loading 1", "plain { a: 1 }", "two\rlines"]
    assert fields[3][3].startswith("RangeError: careful\r    at handler (file://")
    assert lines[-1] == "raw"
    assert [line.request_id for line in function.events.lines] == [None, *[REQUEST_ID] * 5]


@pytest.mark.rule("function.node.log")
async def test_messages_are_json_on_request(tmp_path: Path) -> None:
    async with NodeFunction(tmp_path, TALKING, environment={"AWS_LAMBDA_LOG_FORMAT": "json"}) as function:
        await function()
    entries = [json.loads(line.text) for line in function.events.lines[:-1]]
    assert [list(entry) for entry in entries] == [["timestamp", "level", "requestId", "message"]] * 5
    assert [entry["message"] for entry in entries[:3]] == ["loading 1", "plain { a: 1 }", "two\nlines"]
    assert (entries[3]["message"]["errorType"], entries[3]["message"]["errorMessage"]) == ("RangeError", "careful")
    assert entries[3]["message"]["stackTrace"][0] == "RangeError: careful"
    assert (entries[4]["requestId"], entries[4]["level"]) == (REQUEST_ID, "FATAL")


async def test_messages_below_the_level_are_not_written(tmp_path: Path) -> None:
    async with NodeFunction(tmp_path, TALKING, environment={"AWS_LAMBDA_LOG_LEVEL": "warn"}) as function:
        await function()
    assert [line.text.split("\t")[2] for line in function.events.lines[:-1]] == ["WARN", "FATAL"]


@pytest.mark.parametrize("style", ["text", "json"])
async def test_an_error_is_logged_with_all_that_it_carries(style: str, tmp_path: Path) -> None:
    code = "export const handler = async () => { throw Object.assign(new Error('no'), {order: 7, circle: globalThis.c}); };"
    async with NodeFunction(tmp_path, code, environment={"AWS_LAMBDA_LOG_FORMAT": style}) as function:
        errored(await function(), "function_error")
    (line,) = function.events.lines
    if style == "text":
        _, request_id, level, title, rest = line.text.split("\t")
        assert (request_id, level, title) == (REQUEST_ID, "ERROR", "Invoke Error ")
        message = json.loads(rest)
    else:
        message = json.loads(line.text)["message"]
    assert (message["errorType"], message["errorMessage"], message["order"]) == ("Error", "no", 7)


async def test_the_trace_id_is_in_the_environment_while_there_is_one(tmp_path: Path) -> None:
    code = "export const handler = async () => process.env._X_AMZN_TRACE_ID ?? null;"

    def traced(trace: str | None) -> Invocation:
        plain = invocation(None)
        return type(plain)(request_id=REQUEST_ID, event=b"{}", deadline=plain.deadline, arn=FUNCTION_ARN, trace=trace)

    async with NodeFunction(tmp_path, code) as function:
        answers = [await function.executor.invoke(traced(trace)) for trace in ("Root=1-2-3", None, "Root=4-5-6")]
    assert [returned(answer) for answer in answers] == ["Root=1-2-3", None, "Root=4-5-6"]
