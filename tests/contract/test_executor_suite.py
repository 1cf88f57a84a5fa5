"""The suite for executors as those outside of this repository use it."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from poller.testing import handlers
from poller.testing.doubles import Line, RecordedEvents, SetClock
from poller.testing.executors import ExecutorContract, promises

THEIRS = """
from poller.core.model import Returned
from poller.testing.executors import ExecutorContract, promises
import pytest

class Null:
    async def __aenter__(self): return self
    async def __aexit__(self, *exc_info): pass
    async def invoke(self, invocation): return Returned(b"null")

class TestNull(ExecutorContract):
    declined = {name: "it says nothing" for name in promises() if name not in ("null", "text")}

    @pytest.fixture
    def make(self):
        return lambda handler: Null()
"""


def test_elsewhere_declined_promises_are_skipped_with_the_reason_and_a_failure_shows_both_sides(tmp_path: Path) -> None:
    """Where nothing of our configuration of pytest holds."""
    (tmp_path / "test_theirs.py").write_text(THEIRS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rsf", "--strict-markers", "."]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False).stdout
    assert f"1 failed, 1 passed, {len(promises()) - 2} skipped" in printed
    assert "frames: it says nothing" in printed
    assert "AssertionError: assert None == {'" in printed


def test_only_a_promise_that_there_is_can_be_declined_and_only_for_a_reason() -> None:
    with pytest.raises(TypeError, match=r"Odd declines \['frame'\]: the promises are event, null, "):
        type("Odd", (ExecutorContract,), {"declined": {"frame": "no frames"}})
    with pytest.raises(TypeError, match=r"Odd declines \['frames'\] without a reason"):
        type("Odd", (ExecutorContract,), {"declined": {"frames": " "}})


def test_every_test_of_the_suite_has_a_promise_of_its_own() -> None:
    tests = [name for name in dir(ExecutorContract) if name.startswith("test_")]
    assert sorted(promises().values()) == sorted(tests)


def test_every_promise_is_documented_with_the_handler_that_it_is_about() -> None:
    page = (Path(__file__).parents[2] / "docs" / "executors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| ", page, flags=re.MULTILINE)
    assert [name for name, _ in rows] == list(promises())
    for name, handler in rows:
        assert f'make("{handler}")' in inspect.getsource(getattr(ExecutorContract, promises()[name])), name


def test_every_handler_says_what_it_does_and_needs_nothing_of_poller() -> None:
    module = ast.parse(Path(str(handlers.__file__)).read_text())
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef)]
    assert [each.name for each in functions if not ast.get_docstring(each)] == []
    imported = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports(module)}
    assert imported == {"__future__", "time", "pathlib", "typing"}


def imports(module: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in module.body if isinstance(node, ast.Import | ast.ImportFrom)]


@pytest.mark.parametrize("missing", ["pytest", "pytest_asyncio"])
def test_without_pytest_the_suite_says_what_to_install_and_the_rest_works(missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; import poller.testing.doubles; import poller.testing.executors"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    expected = f"ImportError: poller.testing.executors needs pytest and pytest-asyncio: pip install {missing}"
    assert done.stderr.splitlines()[-1] == expected.replace("pytest_asyncio", "pytest-asyncio")


def test_the_clock_goes_on_when_it_is_told_to_and_its_wall_clock_may_jump() -> None:
    clock = SetClock(time=100.0, monotonic=5.0)
    clock.advance(2.5)
    assert (clock.time(), clock.monotonic()) == (102.5, 7.5)
    clock.jump(-60.0)
    assert (clock.time(), clock.monotonic()) == (42.5, 7.5)


def test_events_are_kept_in_order() -> None:
    events = RecordedEvents()
    events.output("a", stream="stdout", request_id="1")
    events.output("b", stream="stderr", request_id=None)
    events.initialised(0.5)
    events.ended("timeout")
    assert events.lines == [Line("a", "stdout", "1"), Line("b", "stderr", None)]
    assert (events.printed("1"), events.printed(None)) == (["a"], ["b"])
    assert (events.initialisations, events.endings) == ([0.5], ["timeout"])
