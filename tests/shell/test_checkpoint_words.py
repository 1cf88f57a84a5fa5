"""Positions in words: what commands take, what they show, and what is left of them in the log."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from poller.checkpoints.audit import Change, audited
from poller.checkpoints.desk import Refused, Target
from poller.checkpoints.spec import BadPosition, parse, same, shown
from poller.core.model import Checkpoint, MappingId, ShardId, Start, position
from poller.core.numbers import numbered
from poller.core.shards import first_checkpoint, start_from
from poller.errors import Unavailable

NOW = 1_800_000_000.0
SEQUENCE = "49590338271490256608559692538361571095921575989136588898"


def test_what_nobody_has_written_is_shown_as_such() -> None:
    assert shown(Checkpoint(extra=b"garbage")) == "unreadable"
    assert same("unreadable", Checkpoint(extra=b"garbage"))
    assert shown(Checkpoint(position=position("7"), extra=b"garbage")) == "7"
    with pytest.raises(BadPosition):
        parse("unreadable", NOW)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("TRIM_HORIZON", Start(type="TRIM_HORIZON")),
        ("LATEST", Start(type="AT_TIMESTAMP", timestamp=NOW)),
        ("AT_TIMESTAMP=2026-01-01T00:00:00Z", Start(type="AT_TIMESTAMP", timestamp=1_767_225_600.0)),
        ("AT_TIMESTAMP=2026-01-01T01:00:00.250+01:00", Start(type="AT_TIMESTAMP", timestamp=1_767_225_600.25)),
        (SEQUENCE, Start(type="AFTER_SEQUENCE_NUMBER", position=position(SEQUENCE))),
        (f"{SEQUENCE}:3", Start(type="AFTER_SEQUENCE_NUMBER", position=position(SEQUENCE, 3))),
        (
            "000000017955602107510000000023",
            Start(type="AFTER_SEQUENCE_NUMBER", position=position("000000017955602107510000000023")),
        ),
    ],
)
def test_a_position_says_where_the_next_reader_begins(text: str, start: Start) -> None:
    assert start_from(parse(text, NOW)) == start


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no position"),
        ("trim_horizon", "is no position"),
        ("-1", "is no position"),
        ("1" * 61, "is no position"),
        ("17:", "is no position"),
        ("٣", "is no position"),
        ("AT_TIMESTAMP", "is no position"),
        ("AT_TIMESTAMP=yesterday", "write a date and a time with its offset"),
        ("AT_TIMESTAMP=2026-01-01T00:00:00", "has no offset"),
        ("AT_TIMESTAMP=2099-01-01T00:00:00Z", "is in the future"),
    ],
)
def test_what_is_no_position_is_refused_with_what_is(text: str, said: str) -> None:
    with pytest.raises(BadPosition, match=said):
        parse(text, NOW)


@given(st.from_regex(r"[0-9]{1,60}", fullmatch=True), st.integers(0, 9_999))
def test_a_number_is_shown_as_it_was_given(sequence: str, sub: int) -> None:
    text = f"{sequence}:{sub}" if sub else sequence
    assert shown(parse(text, NOW)) == text
    assert numbered(position(sequence, sub)) == text
    assert same(text, parse(text, NOW))


def test_a_shard_without_a_checkpoint_begins_at_its_first_record() -> None:
    assert {shown(None), shown(Checkpoint()), shown(parse("TRIM_HORIZON", NOW))} == {"TRIM_HORIZON"}


def test_a_boundary_is_shown_with_its_time() -> None:
    boundary = first_checkpoint(Start(type="LATEST", timestamp=NOW))
    assert shown(boundary) == "LATEST=2027-01-15T08:00:00.000Z"
    assert same("LATEST=2027-01-15T08:00:00.000Z", boundary)
    assert not same("LATEST", boundary)


def test_one_time_may_be_written_in_several_ways() -> None:
    stored = parse("AT_TIMESTAMP=2026-01-01T00:00:00Z", NOW)
    assert same("AT_TIMESTAMP=2026-01-01T01:00:00+01:00", stored)
    assert not same("AT_TIMESTAMP=2026-01-01T00:00:01Z", stored)
    assert not same("nonsense", stored)


@pytest.mark.parametrize(
    ("error", "outcomes"),
    [
        (Unavailable("rewrite", "timeout", "no answer"), ["unknown"]),
        (asyncio.CancelledError(), ["unknown"]),
        (Refused("somebody was quicker"), []),
    ],
)
def test_a_change_whose_answer_was_lost_is_told_as_such_and_a_refused_one_not_at_all(
    error: BaseException, outcomes: list[str]
) -> None:
    target, change = Target(uuid=MappingId("u"), name="orders"), Change(shard=ShardId("s"), before="1", after="2", holder="h")
    with capture_logs() as log, pytest.raises(type(error)), audited("set", target, [change]):
        raise error
    assert [line["outcome"] for line in log] == outcomes
    assert [line["fenced"] for line in log] == ["h"] * len(outcomes)
