"""What real processes write to stderr where it is no terminal: a JSON object a line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from support.logged import PRELUDE, lines, logged


def test_without_a_terminal_a_line_is_a_json_object_with_time_level_and_event_first() -> None:
    stderr, stdout = logged('configure("info"); logger(mapping="orders").info("batch", records=3, age_s=1.5)')
    assert stdout == ""
    (line,) = stderr.splitlines()
    assert list(orjson.loads(line)) == ["timestamp", "level", "event", "mapping", "records", "age_s"]
    assert re.fullmatch(
        rb'\{"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","level":"info","event":"batch",'
        rb'"mapping":"orders","records":3,"age_s":1.5\}',
        line,
    )


def test_what_is_below_the_level_is_not_written() -> None:
    program = """
for level in ("debug", "info", "warning", "error"):
    configure(level)
    log = logger(at=level)
    log.debug("a"); log.info("a"); log.warning("a"); log.error("a")
"""
    found = [(line["at"], line["level"]) for line in lines(program)]
    levels = ["debug", "info", "warning", "error"]
    assert found == [(at, level) for at in levels for level in levels[levels.index(at) :]]


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


def test_no_value_makes_logging_fail() -> None:
    values = ["10**30", "'\\udc80 half a pair'", "{1: {'a': {2}}}", "b'raw'", "ValueError('x')", "float('nan')"]
    program = f'configure("info"); [logger().info("batch", value=value) for value in ({", ".join(values)})]'
    written = [str(10**30), "\\udc80 half a pair", {"1": {"a": [2]}}, "b'raw'", "ValueError('x')", None]
    assert [line["value"] for line in lines(program)] == written


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
