"""Which shards may be read, and where a mapping begins in each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.core.model import BEGINNING, Checkpoint, Shard, ShardId, ShardState, Start, position
from poller.core.shards import first_checkpoint, readable, start_from

rule = pytest.mark.rule

A, B, C, D = (ShardId(name) for name in "abcd")
FINISHED = ShardState(finished=True)
OPEN = ShardState(owner="somebody")


def shard(name: ShardId, *parents: ShardId) -> Shard:
    return Shard(id=name, parents=parents)


@rule("stream.shards.siblings-concurrently")
def test_shards_without_parents_are_readable_at_once() -> None:
    assert readable((shard(A), shard(B)), {}) == (A, B)
    assert readable((shard(A), shard(B)), {A: OPEN}) == (A, B)


@rule("stream.shards.parent-before-child")
def test_a_child_waits_until_its_parent_is_finished() -> None:
    split = (shard(A), shard(B, A), shard(C, A))
    assert readable(split, {}) == (A,)
    assert readable(split, {A: OPEN}) == (A,)
    assert readable(split, {A: FINISHED}) == (B, C)


@rule("stream.shards.merged-child-waits-for-both")
def test_a_merged_child_waits_for_both_parents() -> None:
    merged = (shard(A), shard(B), shard(C, A, B))
    assert readable(merged, {A: FINISHED}) == (B,)
    assert readable(merged, {B: FINISHED}) == (A,)
    assert readable(merged, {A: FINISHED, B: FINISHED}) == (C,)


@rule("stream.shards.parent-before-child")
def test_a_grandchild_waits_for_its_parent_and_not_for_more() -> None:
    line = (shard(A), shard(B, A), shard(C, B))
    assert readable(line, {A: FINISHED}) == (B,)
    assert readable(line, {A: FINISHED, B: FINISHED}) == (C,)


def test_a_parent_that_the_stream_lists_no_more_holds_nobody_up() -> None:
    assert readable((shard(B, A),), {}) == (B,)
    assert readable((shard(B, A),), {A: OPEN}) == (B,)


def test_a_finished_shard_is_not_read_again() -> None:
    assert readable((shard(A),), {A: FINISHED}) == ()


@st.composite
def histories(draw: st.DrawFn) -> tuple[tuple[Shard, ...], dict[ShardId, ShardState]]:
    """Shards that descend from earlier ones, some of them listed no more, some finished."""
    names = [ShardId(f"s{number}") for number in range(draw(st.integers(1, 8)))]
    family = [
        shard(name, *draw(st.lists(st.sampled_from(names[:index]), max_size=2, unique=True)) if index else ())
        for index, name in enumerate(names)
    ]
    listed = draw(st.lists(st.sampled_from(family), unique=True))
    return tuple(listed), dict.fromkeys(draw(st.lists(st.sampled_from(names), unique=True)), FINISHED)


@given(histories())
def test_whatever_is_finished_somebody_can_go_on(history: tuple[tuple[Shard, ...], dict[ShardId, ShardState]]) -> None:
    listed, states = history
    unfinished = {one.id for one in listed} - states.keys()
    ready = set(readable(listed, states))
    assert ready <= unfinished
    assert bool(ready) == bool(unfinished)  # no stream can get stuck
    for one in listed:
        if one.id in ready:
            assert not unfinished & set(one.parents)


@pytest.mark.parametrize(
    "start",
    [
        Start(type="TRIM_HORIZON"),
        Start(type="LATEST", timestamp=1_700_000_000.123),
        Start(type="AT_TIMESTAMP", timestamp=1_600_000_000.0),
    ],
    ids=lambda start: start.type,
)
def test_where_a_mapping_begins_survives_in_its_first_checkpoint(start: Start) -> None:
    kept = first_checkpoint(start)
    assert kept.position == BEGINNING
    assert start_from(kept) == start


@rule("stream.start.resume-from-checkpoint")
def test_a_checkpoint_counts_more_than_where_the_mapping_began() -> None:
    kept = Checkpoint(position=position("7"), extra=first_checkpoint(Start(type="LATEST", timestamp=1.0)).extra)
    assert start_from(kept) == Start(type="AFTER_SEQUENCE_NUMBER", position=position("7"))


@rule("stream.start.new-shards-from-their-beginning")
@pytest.mark.parametrize("nothing", [None, Checkpoint()])
def test_a_shard_that_the_store_knows_nothing_of_is_read_from_its_beginning(nothing: Checkpoint | None) -> None:
    assert start_from(nothing) == Start(type="TRIM_HORIZON")
