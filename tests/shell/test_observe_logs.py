"""What is really written to stderr, by real processes: JSON lines, a terminal's lines, and never a secret."""

from __future__ import annotations

import ast
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.metrics_doc import DOCUMENT

import poller
from poller.observe.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

PRELUDE = """
import asyncio, logging, sys, warnings
from poller.observe.logs import configure, logger
"""


def run(program: str, **environment: str) -> tuple[bytes, str]:
    """Stderr and stdout of a process whose stderr is a pipe."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + program],
        capture_output=True,
        check=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    return done.stderr, done.stdout.decode()


def lines(program: str) -> list[dict[str, Any]]:
    """The JSON lines that it writes."""
    return [orjson.loads(line) for line in run(program)[0].splitlines()]


def at_a_terminal(program: str, **environment: str) -> str:
    """What a process writes whose stderr is a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + program], stderr=theirs, env={**os.environ, "TERM": "xterm", **environment}
    )
    os.close(theirs)
    text = b"".join(_until_closed(ours))
    os.close(ours)
    assert process.wait(timeout=60) == 0, text
    return text.decode().replace("\r\n", "\n")


def _until_closed(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # Linux says EIO when the last process has closed the other side
            return
        if not chunk:
            return
        yield chunk


# ----------------------------------------------------------------------------------------------------------------------- JSON


def test_without_a_terminal_a_line_is_a_json_object_with_time_level_and_event_first() -> None:
    stderr, stdout = run('configure("info"); logger(mapping="orders").info("batch", records=3, age_s=1.5)')
    assert stdout == ""
    (line,) = stderr.splitlines()
    assert list(orjson.loads(line)) == ["timestamp", "level", "event", "mapping", "records", "age_s"]
    assert re.fullmatch(
        rb'\{"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","level":"info","event":"batch",'
        rb'"mapping":"orders","records":3,"age_s":1.5\}',
        line,
    )


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_what_is_below_the_level_is_not_written(level: str, written: list[str]) -> None:
    program = f'configure("{level}"); log = logger(); log.debug("a"); log.info("a"); log.warning("a"); log.error("a")'
    assert [line["level"] for line in lines(program)] == written


def test_text_of_several_lines_stays_one_line() -> None:
    (line,) = lines('configure("info"); logger().info("function", line="one\\ntwo\\r\\nthree\\u2028four")')
    assert line["line"] == "one\ntwo\r\nthree\u2028four"


def test_an_exception_is_a_field_of_one_line_with_its_traceback() -> None:
    program = """
configure("info")
try:
    {}["x"]
except KeyError as error:
    logger().error("crashed", exc_info=error)
"""
    (line,) = lines(program)
    assert line["event"] == "crashed"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("\nKeyError: 'x'")


def test_all_exceptions_of_a_group_are_in_the_traceback() -> None:
    (line,) = lines(
        'configure("info"); logger().error("crashed", exc_info=ExceptionGroup("g", [ValueError("one"), KeyError("two")]))'
    )
    assert "ValueError: one" in line["exception"]
    assert "KeyError: 'two'" in line["exception"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("10**30", str(10**30)),
        ("'\\udc80 half a pair'", "\\udc80 half a pair"),
        ("{1: {'a': {2}}}", {"1": {"a": [2]}}),
        ("b'raw'", "b'raw'"),
        ("ValueError('x')", "ValueError('x')"),
        ("float('nan')", None),
    ],
)
def test_no_value_makes_logging_fail(value: str, written: object) -> None:
    (line,) = lines(f'configure("info"); logger().info("batch", value={value})')
    assert line["value"] == written
    assert line["event"] == "batch"


@pytest.mark.parametrize("stderr", ["closed", "full"])
def test_a_log_that_cannot_be_written_stops_nothing(stderr: str) -> None:
    program = PRELUDE + 'configure("info"); [logger().info("batch", n=n) for n in range(5000)]; print("done")'
    with Path("/dev/full").open("wb") as full:
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=full if stderr == "full" else writer,
            check=False,
            timeout=60,
        )
        os.close(writer)
    assert (done.stdout, done.returncode) == (b"done\n", 0)


def test_a_logger_made_before_the_configuration_follows_it() -> None:
    (line,) = lines('log = logger(mapping="orders"); configure("warning"); log.info("batch"); log.warning("batch")')
    assert (line["level"], line["mapping"]) == ("warning", "orders")


# ------------------------------------------------------------------------------------------------------------------ libraries


def test_warnings_and_errors_of_libraries_go_the_same_way() -> None:
    program = """
configure("info")
logging.getLogger("aiohttp.server").info("a request")
logging.getLogger("botocore").warning("retry %s\\nof %s", 1, "http://u:hunter2@h/")
logging.getLogger("asyncio").error("never retrieved", exc_info=ValueError("boom"))
logging.getLogger("odd").log(35, "between the levels")
logging.getLogger("wrong").warning("%d", "no number")
warnings.warn("old thing", DeprecationWarning)
"""
    found = lines(program)
    assert {line["event"] for line in found} == {"library"}
    assert [(line["logger"], line["level"], line["message"]) for line in found[:4]] == [
        ("botocore", "warning", "retry 1\nof http://u:***@h/"),
        ("asyncio", "error", "never retrieved"),
        ("odd", "warning", "between the levels"),
        ("wrong", "warning", "%d"),
    ]
    assert found[1]["exception"].endswith("ValueError: boom")
    assert found[4]["logger"] == "py.warnings"
    assert "old thing" in found[4]["message"]


def test_at_level_error_the_warnings_of_libraries_are_not_written() -> None:
    (line,) = lines('configure("error"); logging.getLogger("x").warning("no"); logging.getLogger("x").error("yes")')
    assert line["message"] == "yes"


def test_a_task_whose_exception_nobody_fetched_is_one_json_line() -> None:
    program = """
configure("info")
async def fail(): raise ValueError("unheard")
async def main():
    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
asyncio.run(main())
"""
    (line,) = lines(program)
    assert line["logger"] == "asyncio"
    assert "ValueError: unheard" in line["exception"]


# -------------------------------------------------------------------------------------------------------------------- terminal


def test_at_a_terminal_a_line_is_readable_and_coloured() -> None:
    text = at_a_terminal('configure("info"); logger(mapping="orders").warning("batch", error="no order 17", records=3)')
    assert "\x1b[33mwarning\x1b[0m" in text
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert re.fullmatch(r'\S+T\S+\.\d{3}Z warning batch        mapping=orders error="no order 17" records=3\n', plain)


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_turned_off(environment: dict[str, str]) -> None:
    text = at_a_terminal('configure("info"); logger().info("batch", records=3)', **environment)
    assert "\x1b" not in text
    assert text.endswith("info    batch        records=3\n")


def test_json_can_be_had_at_a_terminal_and_readable_lines_without() -> None:
    assert orjson.loads(at_a_terminal('configure("info", json=True); logger().info("batch")'))["event"] == "batch"
    stderr, _ = run('configure("info", json=False); logger().info("batch", records=3)')
    assert stderr.endswith(b"Z info    batch        records=3\n")


def test_what_is_printed_can_neither_forge_a_line_nor_move_the_cursor() -> None:
    program = (
        'configure("info"); logger().info("function", line="a\\n2025-01-01 info forged\\x1b[2J\\x9b1A\\u2028b", plain="\\x07")'
    )
    text = at_a_terminal(program, NO_COLOR="1")
    assert len(text.splitlines()) == 1
    assert r'line="a\n2025-01-01 info forged\u001b[2J\x9b1A\u2028b" plain=\x07' in text


def test_values_that_would_be_taken_for_several_are_quoted_and_missing_ones_left_out() -> None:
    text = at_a_terminal('configure("info"); logger().info("x", a="", b="p=q", c=\'say "hi"\', d=None, e="ä")', NO_COLOR="1")
    assert text.endswith('x            a="" b="p=q" c="say \\"hi\\"" e=ä\n')


def test_a_traceback_follows_its_line_as_it_is() -> None:
    program = """
configure("info")
try:
    raise ValueError("redis://:hunter2@host/0 \\x1b[2J")
except ValueError as error:
    logger().error("crashed", exc_info=error)
"""
    first, *rest = at_a_terminal(program, NO_COLOR="1").splitlines()
    assert first.endswith("error   crashed     ")
    assert rest[0] == "Traceback (most recent call last):"
    assert rest[-1] == r"ValueError: redis://:***@host/0 \x1b[2J"


# --------------------------------------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "db_password",
        "Passwd",
        "secret",
        "aws_secret_access_key",
        "session_token",
        "Authorization",
        "api-key",
        "cookie",
    ],
)
def test_the_value_of_a_key_that_names_a_secret_is_masked_at_any_depth(key: str) -> None:
    event: dict[str, object] = {"event": "x", key: "hunter2", "deep": {"list": [{key: ["hunter2"]}]}, "number": {key: 7}}
    assert redact(None, "", event) == {"event": "x", key: "***", "deep": {"list": [{key: "***"}]}, "number": {key: "***"}}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("redis://:hunter2@host:6379/0", "redis://:***@host:6379/0"),
        ("cannot reach rediss://bob:hunter2@host, giving up", "cannot reach rediss://bob:***@host, giving up"),
        ("https://bob:hun@ter/2@host/", "https://bob:***@host/"),
        ("'redis://a:hunter2@h' or 'redis://b:hunter2@h'", "'redis://a:***@h' or 'redis://b:***@h'"),
        ("https://host:8080/path", "https://host:8080/path"),
        ("sqlite:///poller.db", "sqlite:///poller.db"),
        ("mail bob@example.com at 12:30", "mail bob@example.com at 12:30"),
    ],
)
def test_passwords_inside_urls_are_masked_wherever_they_stand(text: str, masked: str) -> None:
    assert redact(None, "", {"event": text, "tuple": (text,), "deep": {"a": text}}) == {
        "event": masked,
        "tuple": [masked],
        "deep": {"a": masked},
    }


def test_what_is_no_secret_stays_as_it_is() -> None:
    event = {"event": "batch", "records": 3, "age_s": 1.5, "request_id": "r1", "up": True, "password": None}
    assert redact(None, "", dict(event)) == event


# --------------------------------------------------------------------------------------------------------------- documentation


def logged_events() -> set[str]:
    """The names of all events that the source logs."""
    found = set()
    for path in Path(poller.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _is_logging(node.func):
                found.update(one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str))
    return found


def _is_logging(function: ast.expr) -> bool:
    """`log.info`, `self._log.info`, `logger().error`, a bound `log`."""
    text = ast.unparse(function)
    return re.search(r"(\blog|_log|logger\(\))(\.(debug|info|warning|error|critical|log))?$", text) is not None


def test_every_event_that_is_logged_is_documented_and_no_other() -> None:
    page = (DOCUMENT.parent / "logs.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(\w+)` \| (?:debug|info|warning|error)", page, re.MULTILINE))
    assert logged_events() == documented


def test_the_samples_in_the_documentation_are_lines_that_we_write() -> None:
    page = (DOCUMENT.parent / "logs.md").read_text(encoding="utf-8")
    samples = [orjson.loads(line) for line in page.splitlines() if line.startswith('{"timestamp"')]
    assert len(samples) >= 3
    for sample in samples:
        fields = {key: value for key, value in sample.items() if key not in {"timestamp", "level", "event"}}
        (line,) = lines(f'configure("info"); logger().{sample["level"]}({sample["event"]!r}, **{fields!r})')
        assert list(line) == list(sample)
        assert {**line, "timestamp": sample["timestamp"]} == sample
