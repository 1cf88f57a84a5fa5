"""The border between deciding and doing, and the sizes that keep code readable."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "poller"
CORE = PACKAGE / "core"

PURE = {
    *(
        "__future__",
        "abc",
        "collections",
        "dataclasses",
        "datetime",
        "enum",
        "functools",
        "itertools",
        "math",
        "operator",
        "typing",
    ),
    *("base64", "heapq", "ipaddress", "json", "orjson", "re", "string"),
}
"""What core may import beside itself: nothing here waits, looks at a clock, rolls dice, or talks to anybody."""

ACTS = {"open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint"}
"""Built-in functions that do something."""

CLOCKS = {"now", "utcnow", "today"}
"""Methods of `datetime` that read the clock."""

LONGEST_FUNCTION = 40
LONGEST_FILE = 300


def sources(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.py"))
    assert found
    return found


def named(path: Path) -> str:
    return str(path.relative_to(PACKAGE.parent))


def imported(node: ast.AST) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [name.name for name in names]
        case ast.ImportFrom(module=module, level=0):
            return [module or ""]
        case ast.ImportFrom():
            return ["a relative import"]
    return []


def impurities(source: str) -> list[str]:
    """What a module of core must not have, each with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        foreign = [name for name in imported(node) if name.split(".")[0] not in PURE and not name.startswith("poller.core")]
        found += [f"{getattr(node, 'lineno', 0)}: imports {name}" for name in foreign]
        match node:
            case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                found.append(f"{node.lineno}: awaits")
            case ast.Attribute(attr=name) if name in CLOCKS:
                found.append(f"{node.lineno}: reads the clock")
            case ast.Name(id=name) if name in ACTS:
                found.append(f"{node.lineno}: calls {name}")
            case ast.Global() | ast.Nonlocal():
                found.append(f"{node.lineno}: keeps state in a module or closure")
    return found


@pytest.mark.parametrize("path", sources(CORE), ids=named)
def test_core_computes_and_does_nothing_else(path: Path) -> None:
    assert impurities(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import asyncio",
        "import time",
        "import random",
        "import uuid",
        "import os",
        "import logging",
        "import structlog",
        "import prometheus_client",
        "import os.path",
        "from time import monotonic",
        "from poller.ports import Clock",
        "from poller import errors",
        "from . import model",
        "from ..ports import Clock",
        "if TYPE_CHECKING:\n    from poller.ports import Clock",
        "def f():\n    import socket",
        "async def f(): ...",
        "from datetime import datetime\ndatetime.now()",
        "import datetime\ndatetime.date.today()",
        "print(1)",
        "data = open('x')",
        "def f():\n    global x\n    x = 1",
    ],
)
def test_this_check_sees_what_it_is_to_see(source: str) -> None:
    assert impurities(source) != []


def test_this_check_lets_a_computing_module_pass() -> None:
    source = (
        "from datetime import UTC, datetime\nimport orjson\nfrom poller.core.model import Record\ndatetime.fromtimestamp(0, UTC)"
    )
    assert impurities(source) == []


def lengths(source: str) -> dict[str, int]:
    """Lines of each function, from its `def` to its last."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
    return {f"{node.lineno}: {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1 for node in found}


def test_no_function_is_longer_than_a_screen() -> None:
    found = {named(path): lengths(path.read_text()) for path in sources(PACKAGE)}
    assert [(path, name) for path, each in found.items() for name, lines in each.items() if lines > LONGEST_FUNCTION] == []


def test_the_length_of_a_function_is_its_lines() -> None:
    assert lengths("x = 1\nclass C:\n    async def f(self):\n        a = 1\n\n        return a\n") == {"3: f": 4}


def test_no_file_has_more_lines_than_one_can_keep_in_mind() -> None:
    """Lines with something on them: the blank ones between small functions cost nothing to read."""
    found = {named(path): sum(1 for line in path.read_text().splitlines() if line.strip()) for path in sources(PACKAGE)}
    by_design = {"poller/executors/worker.py"}  # one file, which any Python runs alone
    assert {path for path, lines in found.items() if lines > LONGEST_FILE} == by_design


def test_packages_are_two_deep_at_the_most() -> None:
    assert [named(path) for path in sources(PACKAGE) if len(path.relative_to(PACKAGE).parts) > 2] == []


def test_imports_go_down_only() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=PACKAGE.parent, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kept, 0 broken" in done.stdout
