from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.noding import NodeFunction

from poller.core.model import Returned
from poller.testing.executors import errored, returned

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DISPATCH = "const cases = {%s}; export const handler = %s => cases[event](event, context, callback);"

THREE = {
    "a promise": ("async () => 'kept'", "kept"),
    "a thenable": ("() => ({then: (settle) => settle('late')})", "late"),
    "a callback": ("(e, c, callback) => { setTimeout(callback, 1, null, 'called') }", "called"),
    "a callback, whatever is returned": ("(e, c, callback) => { callback(null, 'called'); return 'returned'; }", "called"),
    "the first of three": ("(e, c, callback) => { callback(null, 1); callback(null, 2); c.done(null, 3); }", 1),
    "no callback": ("() => { setTimeout(() => {}, 1) }", None),
    "an async function that calls back": ("async (e, c, callback) => { callback(null, 'called') }", "called"),
    "context.succeed": ("(e, context, callback) => { context.succeed('done'); callback(null, 'late'); }", "done"),
    "a Date": ("async () => new Date(0)", "1970-01-01T00:00:00.000Z"),
}
"""By functions of three parameters, the last of which is a callback."""

TWO = {
    "a promise": ("async () => 'kept'", "kept", "kept"),
    "what is returned": ("() => 'returned'", None, "returned"),
    "context.succeed at once": ("(e, context) => context.succeed('done')", "done", "done"),
    "context.done later": ("(e, context) => { setTimeout(context.done, 1, null, 'done') }", "done", None),
}
"""By functions without a callback, and the answers until Node 22 and from 24 on."""

WITHOUT_JSON = {
    "BigInt": "async () => 1n",
    "a circle": "async () => { const a = []; a.push(a); return a; }",
    "a function": "async () => () => 1",
}

FAILING = {
    "callback": "(e, context, callback) => callback(new RangeError('no'))",
    "fail": "(e, context) => context.fail(new RangeError('no'))",
    "done": "(e, context) => context.done(new RangeError('no'))",
}


def dispatch(codes: Mapping[str, str], parameters: str = "(event, context, callback)") -> str:
    """One module that does as the event says, so that one worker serves all cases."""
    return DISPATCH % (", ".join(f"{json.dumps(case)}: {code}" for case, code in codes.items()), parameters)


@pytest.mark.rule("function.node.callback")
async def test_an_answer_may_come_in_many_ways(tmp_path: Path) -> None:
    async with NodeFunction(tmp_path, dispatch({case: code for case, (code, _) in THREE.items()})) as function:
        answers = {case: returned(await function(case)) for case in THREE}
    assert answers == {case: answer for case, (_, answer) in THREE.items()}


@pytest.mark.rule("function.node.answer")
@pytest.mark.parametrize(("version", "column"), [("22", 1), ("24", 2)])
async def test_plain_functions_answer_by_the_rules_of_their_runtime(version: str, column: int, tmp_path: Path) -> None:
    code = dispatch({case: row[0] for case, row in TWO.items()}, "(event, context, callback = undefined)")
    environment = {"AWS_EXECUTION_ENV": f"AWS_Lambda_nodejs{version}.x"}
    async with NodeFunction(tmp_path, code, environment=environment) as function:
        answers = {case: returned(await function(case)) for case in TWO}
    assert answers == {case: row[column] for case, row in TWO.items()}


async def test_a_callback_with_an_error_fails_at_once_though_something_runs_on(tmp_path: Path) -> None:
    async with NodeFunction(tmp_path, f"setInterval(() => {{}}, 9999); {dispatch(FAILING)}") as function:
        errors = [errored(await function(case), "function_error") for case in FAILING]
    assert [(error["errorType"], error["errorMessage"]) for error in errors] == [("RangeError", "no")] * len(FAILING)


@pytest.mark.rule("function.node.marshal")
async def test_an_answer_without_json_form_is_lambdas_error(tmp_path: Path) -> None:
    async with NodeFunction(tmp_path, dispatch(WITHOUT_JSON)) as function:
        errors = [errored(await function(case), "function_error") for case in WITHOUT_JSON]
    named = ("Runtime.JSONStringifyError", "Unable to stringify response body")
    assert [(error["errorType"], error["errorMessage"]) for error in errors] == [named] * len(WITHOUT_JSON)
    assert errors[0]["trace"][0] == "TypeError: Do not know how to serialize a BigInt"


@pytest.mark.rule("function.node.answer")
async def test_a_callback_waits_until_nothing_runs_unless_it_is_told_not_to(tmp_path: Path) -> None:
    code = """
    let ticks = 0;
    export const handler = (event, context, callback) => {
      context.callbackWaitsForEmptyEventLoop = event.waits;
      const before = ticks;
      const timer = setInterval(() => { ticks += 1; if (ticks === event.until) { clearInterval(timer); } }, 1);
      callback(null, {get ticks() { return ticks; }, before});
    };
    """
    async with NodeFunction(tmp_path, code) as function:
        assert returned(await function({"waits": True, "until": 3})) == {"ticks": 3, "before": 0}
        assert returned(await function({"waits": False, "until": 999_999})) == {"ticks": 3, "before": 3}


async def test_a_streamed_answer_arrives_as_a_whole(tmp_path: Path) -> None:
    code = """
    import { pipeline } from "node:stream/promises";
    export const handler = awslambda.streamifyResponse(async (event, stream, context) => {
      stream.setContentType("application/json");
      if (event === "half") { stream.write("{"); return; }
      if (event === "short") { stream.end("{}"); return; }
      stream.write(Buffer.from('{"batchItemFailures":'));
      await pipeline(["[", "]", "}"], stream);
    });
    """
    async with NodeFunction(tmp_path, code) as function:
        answer = await function()
        assert returned(await function("short")) == {}
        error = errored(await function("half"), "function_error")
    assert isinstance(answer, Returned)
    assert answer.payload == b'{"batchItemFailures":[]}'
    assert error["errorMessage"] == "Response stream is not finished."
