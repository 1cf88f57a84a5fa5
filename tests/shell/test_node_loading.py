from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from support.install_servers import node
from support.noding import NodeFunction, write

from poller.executors import start
from poller.testing.executors import errored

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CJS = "exports.handler = async () => 'found';"
ESM = "export const handler = async () => 'found';"
OTHER = "export const handler = async () => 'another';"
MODULE = '{"type": "module"}'

FOUND: dict[str, tuple[Mapping[str, str], str]] = {
    "CommonJS by default": ({"index.js": CJS, "index.mjs": OTHER}, "index.handler"),
    "ES modules by package.json": ({"index.js": ESM, "package.json": MODULE}, "index.handler"),
    "package.json further up": ({"a/b/index.js": ESM, "package.json": MODULE}, "a/b/index.handler"),
    "ES modules by extension": ({"index.mjs": ESM, "index.cjs": OTHER}, "index.handler"),
    "CommonJS by extension": ({"index.cjs": CJS, "package.json": MODULE}, "index.handler"),
    "no extension": ({"index": CJS, "index.mjs": OTHER}, "index.handler"),
    "a folder": ({"app/index.js": CJS}, "app.handler"),
    "a package": ({"node_modules/app/index.js": CJS}, "app.handler"),
    "nested exports": ({"index.mjs": "export const a = {b: {c: () => 'found'}};"}, "index.a.b.c"),
    "the default export": ({"index.mjs": "export default () => 'found';"}, "index.default"),
    "members of the default export": ({"index.mjs": "export default {handler: () => 'found'};"}, "index.handler"),
    "exports made at run time": (
        {"index.js": "Object.assign(module.exports, {['hand' + 'ler']: () => 'found'});"},
        "index.handler",
    ),
    "top-level await": ({"index.mjs": f"await new Promise((done) => setTimeout(done, 1));{ESM}"}, "index.handler"),
}

NOT_FOUND: dict[str, tuple[Mapping[str, str], str, str, str]] = {
    "no module": ({}, "index.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'index'"),
    "no dependency": (
        {"index.js": "require('left-out');"},
        "index.handler",
        "Runtime.ImportModuleError",
        "Error: Cannot find module 'left-out'",
    ),
    "no dependency of an ES module": (
        {"index.mjs": "import 'left-out';"},
        "index.handler",
        "Error",
        "Cannot find package 'left-out' imported from",
    ),
    "syntax": (
        {"index.mjs": "export const handler = () => {"},
        "index.handler",
        "Runtime.UserCodeSyntaxError",
        "SyntaxError: Unexpected end of input",
    ),
    "no such export": (
        {"index.mjs": ESM},
        "index.hander",
        "Runtime.HandlerNotFound",
        "index.hander is undefined or not exported",
    ),
    "no function": (
        {"index.mjs": "export const handler = 1;"},
        "index.handler",
        "Runtime.HandlerNotFound",
        "index.handler is not a function",
    ),
    "no dot": ({"index.mjs": ESM}, "index", "Runtime.MalformedHandlerName", "Bad handler"),
    "outside": ({"index.mjs": ESM}, "../index.handler", "Runtime.MalformedHandlerName", "'../index.handler' is not"),
    "raises": ({"index.mjs": "throw new RangeError('on import');"}, "index.handler", "RangeError", "on import"),
    "raises nothing": ({"index.mjs": "throw undefined;"}, "index.handler", "undefined", "undefined"),
}

LOADER = """
import { describe } from "%(folder)s/errors.mjs";
import { load } from "%(folder)s/handler.mjs";

const outcomes = [];
for (const [root, name] of JSON.parse(process.argv[1])) {
  try {
    outcomes.push(await (await load(root, name))());
  } catch (error) {
    outcomes.push(describe(error));
  }
}
console.log(JSON.stringify(outcomes));
"""


def loaded(folder: Path, cases: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    """What the handlers of all cases return, or the error of loading them: in one process, for they are many."""
    for number, (files, *_) in enumerate(cases.values()):
        write(folder / str(number), files)
    wanted = [(str(folder / str(number)), handler) for number, (_, handler, *_) in enumerate(cases.values())]
    loader = LOADER % {"folder": start.NODE_SCRIPT.parent.as_uri()}
    command = [str(node()), "--input-type=module", "--eval", loader, json.dumps(wanted)]
    outcomes = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=30).stdout)
    return dict(zip(cases, outcomes, strict=True))


@pytest.mark.rule("function.node.handler")
def test_a_handler_is_found_where_lambda_finds_it(tmp_path: Path) -> None:
    assert loaded(tmp_path, FOUND) == dict.fromkeys(FOUND, "found")


@pytest.mark.rule("function.error.handler")
def test_a_handler_that_cannot_be_loaded_has_lambdas_error(tmp_path: Path) -> None:
    errors = loaded(tmp_path, NOT_FOUND)
    types = {case: error_type for case, (_, _, error_type, _) in NOT_FOUND.items()}
    assert {case: error["errorType"] for case, error in errors.items()} == types
    for case, (_, _, _, message) in NOT_FOUND.items():
        assert errors[case]["errorMessage"].startswith(message)


async def test_what_cannot_be_loaded_is_the_error_of_each_invocation(tmp_path: Path) -> None:
    async with NodeFunction(tmp_path, {}) as function:
        errors = [errored(await function(), "function_error") for _ in range(2)]
    assert [list(error) for error in errors] == [["errorType", "errorMessage", "trace"]] * 2
    assert errors[0]["trace"][0] == "Runtime.ImportModuleError: Error: Cannot find module 'index'"
    assert function.events.initialisations == []


async def test_a_rejection_that_nobody_handles_while_the_module_loads_is_its_error(tmp_path: Path) -> None:
    code = f"Promise.reject('lost'); await new Promise((done) => setTimeout(done, 9999)); {ESM}"
    async with NodeFunction(tmp_path, code) as function:
        error = errored(await function(), "function_error")
    assert (error["errorType"], error["errorMessage"]) == ("Runtime.UnhandledPromiseRejection", "lost")


async def test_a_module_that_never_ends_its_await_is_a_crash_that_says_so(tmp_path: Path) -> None:
    async with NodeFunction(tmp_path, f"await new Promise(() => {{}}); {ESM}") as function:
        error = errored(await function(), "crash")
    assert error["errorMessage"].endswith("Error: Runtime exited without providing a reason")
    assert [line.text.split("\t", 1)[1] for line in function.events.lines] == [
        "-\tERROR\tThe module's top-level await will never end: nothing is left to run."
    ]
