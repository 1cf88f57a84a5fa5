"""What the demo makes of the daemon's log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from poller.demo.journal import REMEMBERED, Journal, shown

if TYPE_CHECKING:
    from pathlib import Path


def line(event: str, level: str = "info", **fields: object) -> dict[str, Any]:
    return {"timestamp": "2025-01-31T12:00:00.123Z", "level": level, "event": event, **fields}


FAILED = line("batch", "warning", mapping="orders", outcome="partial", error="1 of 3 records reported", request_id="r1")


def said(text: str, request_id: str = "r1") -> dict[str, Any]:
    return line("function", function="orders", stream="stderr", line=text, request_id=request_id)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "poller.log")


def test_the_error_of_a_mapping_is_the_last_line_that_has_one(journal: Journal) -> None:
    journal.take([FAILED, line("batch", mapping="orders", outcome="success"), line("poll_failed", mapping="other", error="no")])
    assert journal.errors == {"orders": "1 of 3 records reported", "other": "no"}


def test_what_the_function_logged_as_an_error_says_more_than_the_batch(journal: Journal) -> None:
    lines = [
        said("[ERROR]\t2025-01-31T12:00:00.100Z\tr1\torder 7: no"),
        said("[WARNING]\tx\tr1\tnever mind"),
        said("only\tprinted"),
    ]
    journal.take([*lines, FAILED])
    assert journal.errors == {"orders": "order 7: no"}
    journal.take([FAILED | {"request_id": "r2"}])
    assert journal.errors == {"orders": "1 of 3 records reported"}, "what was said belongs to its own invocation"


def test_what_functions_said_is_not_remembered_for_ever(journal: Journal) -> None:
    journal.take(said(f"[ERROR]\tx\tr\torder {number}", f"r{number}") for number in range(2 * REMEMBERED))
    journal.take([FAILED | {"request_id": "r0"}])
    assert journal.errors == {"orders": "1 of 3 records reported"}
    journal.take([FAILED | {"request_id": f"r{REMEMBERED}"}])
    assert journal.errors == {"orders": f"order {REMEMBERED}"}


def test_a_log_is_read_on_whole_line_by_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "poller.log"
    first, second = (json.dumps(line("state", mapping=name)) for name in "ab")
    path.write_text(f"Traceback (most recent call last):\n7\n{first}\n{second[:20]}")
    journal = Journal(path)
    journal.read_on()
    assert journal.tail == "12:00:00 state mapping=a"
    with path.open("a") as log:
        log.write(second[20:] + "\n")
    journal.read_on()
    assert journal.tail == "12:00:00 state mapping=b"


def test_a_line_is_shown_with_its_level_where_it_matters_and_cannot_move_the_cursor() -> None:
    assert shown(line("batch", records=3, error=None)) == "12:00:00 batch records=3"
    assert shown(line("failing", "warning", error="a b\x1b[2J")) == r'12:00:00 warning failing error="a b\u001b[2J"'
