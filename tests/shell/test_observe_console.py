"""What real processes write to stderr where it is a terminal."""

from __future__ import annotations

import re

import orjson
import pytest
from support.logged import at_a_terminal, logged


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
    stderr, _ = logged('configure("info", json=False); logger().info("batch", records=3)')
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


def test_an_object_is_shown_as_json_which_cannot_forge_a_line_either() -> None:
    text = at_a_terminal(
        'configure("info"); logger().info("function", json={"message": "a\\n2025 info x", "n": [1, None]})', NO_COLOR="1"
    )
    assert text.endswith('function     json={"message": "a\\n2025 info x", "n": [1, null]}\n')


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
