from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.noding import NodeFunction

from poller.testing.executors import errored, invocation, returned

if TYPE_CHECKING:
    from pathlib import Path

ONCE = """
let calls = 0;
export const handler = async (event) => {
  if (event === 'again') { return calls; }
  calls += 1;
  %s
};
"""

COUNTING = "let calls = 0; export const handler = async (event) => { calls += 1; return cases[event](); };"

THROWN = {
    "a string": ("throw 'words';", "string", "words"),
    "nothing": ("throw undefined;", "string", "handled"),
    "an object": ("throw {message: 'no error'};", "object", "[object Object]"),
    "what looks like one": ("throw {name: 'Odd', message: 'says', stack: 'Odd: says'};", "Odd", "says"),
    "an error of its own": ("throw Object.assign(new Error('mine'), {name: 'OrderError'});", "OrderError", "mine"),
    "no name that a header can hold": ("throw Object.assign(new Error('x'), {name: 'Größe\\r\\n'});", "Größe\r\n", "x"),
    "what cannot be read": ("throw Object.create(null);", "handled", "An error that cannot be read"),
}

DEADLY = {
    "a rejection": ("Promise.reject(new RangeError('lost'));", "Runtime.UnhandledPromiseRejection", "RangeError: lost"),
    "an exception": ("setImmediate(() => { throw new RangeError('lost'); });", "RangeError", "lost"),
}


@pytest.mark.rule("function.node.error")
async def test_an_exception_has_lambdas_shape_and_the_functions_own_frames(tmp_path: Path) -> None:
    async with NodeFunction(tmp_path, "export const handler = async () => inner();\nfunction inner() { null.x; }") as function:
        error = errored(await function(), "function_error")
    assert list(error) == ["errorType", "errorMessage", "trace"]
    assert error["errorType"] == "TypeError"
    assert error["trace"][0] == f"TypeError: {error['errorMessage']}"
    assert error["trace"][1].startswith("    at inner (file://")
    assert error["trace"][1].endswith("/index.mjs:2:25)")
    assert [line for line in error["trace"] if "/executors/node/" in line] == []


@pytest.mark.rule("function.node.error")
async def test_whatever_is_thrown_is_an_error_and_the_worker_goes_on(tmp_path: Path) -> None:
    cases = ", ".join(f"{json.dumps(case)}() {{ {code} }}" for case, (code, _, _) in THROWN.items())
    code = f"const cases = {{ {cases}, calls: () => calls }};" + COUNTING
    async with NodeFunction(tmp_path, code) as function:
        errors = {case: errored(await function(case), "function_error") for case in THROWN}
        assert returned(await function("calls")) == len(THROWN) + 1
    assert {case: error["errorType"] for case, error in errors.items()} == {case: name for case, (_, name, _) in THROWN.items()}
    for case, (_, _, message) in THROWN.items():
        assert errors[case]["errorMessage"].startswith(message)


@pytest.mark.rule("function.node.unhandled")
@pytest.mark.parametrize("case", DEADLY)
async def test_what_nobody_catches_is_the_invocations_error_and_the_end_of_the_worker(case: str, tmp_path: Path) -> None:
    code, error_type, message = DEADLY[case]
    async with NodeFunction(tmp_path, ONCE % f"{code} await new Promise((done) => setTimeout(done, 9999));") as function:
        error = errored(await function(), "function_error")
        assert (error["errorType"], error["errorMessage"]) == (error_type, message)
        assert returned(await function("again")) == 0
    assert len(function.events.initialisations) == 2


async def test_what_nobody_catches_after_the_answer_does_not_change_it(tmp_path: Path) -> None:
    code = "process.nextTick(() => Promise.reject('late')); return 'x'.repeat(5_000_000);"
    async with NodeFunction(tmp_path, ONCE % code) as function:
        assert returned(await function()) == "x" * 5_000_000


@pytest.mark.parametrize(("code", "reason"), [("3", "with error: exit status 3"), ("0", "without providing a reason")])
async def test_a_handler_that_exits_is_a_crash(code: str, reason: str, tmp_path: Path) -> None:
    async with NodeFunction(tmp_path, ONCE % f"process.exit({code});") as function:
        error = errored(await function(), "crash")
        assert error["errorType"] == "Runtime.ExitError"
        assert error["errorMessage"].endswith(f"Runtime exited {reason}")
        assert returned(await function("again")) == 0


@pytest.mark.rule("function.node.never")
async def test_a_promise_that_nothing_can_settle_is_a_crash_that_says_so(tmp_path: Path) -> None:
    async with NodeFunction(tmp_path, ONCE % "await new Promise(() => {});") as function:
        error = errored(await function(), "crash")
        assert error["errorMessage"].endswith("Runtime exited without providing a reason")
    assert any("The handler's promise will never be settled" in line.text for line in function.events.lines)


async def test_an_event_that_is_no_json_is_what_json_parse_says(tmp_path: Path) -> None:
    async with NodeFunction(tmp_path, ONCE % "") as function:
        error = errored(await function.executor.invoke(invocation(b"{")), "function_error")
        assert error["errorType"] == "SyntaxError"
        assert "JSON at position 1" in error["errorMessage"]
        assert returned(await function("again")) == 0
