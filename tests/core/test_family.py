"""Which shards are known: by the stream's list, by a parent's word, and by their absence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.core.model import Checkpoint, Shard, ShardId, ShardState
from poller.core.shards import Family, readable

rule = pytest.mark.rule

A, B, C, D = (ShardId(name) for name in "abcd")
FINISHED = ShardState(finished=True)
ENROLLED = ShardState(checkpoint=Checkpoint())
STARTED = ShardState(epoch=1)


def shard(name: ShardId, *parents: ShardId) -> Shard:
    return Shard(id=name, parents=parents)


def family(*listed: Shard) -> Family:
    made = Family()
    made.list(listed)
    return made


@rule("stream.shards.children-by-word")
def test_a_child_that_a_parent_names_is_known_before_it_is_listed_and_for_as_long_as_it_is_not() -> None:
    known = family(shard(A))
    known.name([shard(B, A), shard(C, A)])
    assert [*known.known] == [shard(A), shard(B, A), shard(C, A)]
    known.list((shard(A), shard(B, A)))
    assert [*known.known] == [shard(A), shard(B, A), shard(C, A)]
    known.list((shard(B, A), shard(C, A)))
    assert [*known.known] == [shard(B, A), shard(C, A)]
    known.list((shard(C, A),))
    assert [*known.known] == [shard(C, A)], "what was listed once and is no more is not known by word any more"


@rule("stream.shards.merged-child-waits-for-both")
@pytest.mark.parametrize(
    "words", [[(A, B), (B, A)], [(A,), (B,)], [(A, B)]], ids=["both say both", "each says itself", "one says both"]
)
def test_the_child_of_a_merge_is_known_once_and_waits_for_all_that_are_named(words: list[tuple[ShardId, ...]]) -> None:
    known = family(shard(A), shard(B))
    for parents in words:
        known.name([shard(C, *parents)])
    assert [one.id for one in known.known] == [A, B, C]
    assert set(known.known[-1].parents) == {A, B}
    assert readable(known.known, {A: FINISHED}) == (B,)
    assert readable(known.known, {A: FINISHED, B: FINISHED}) == (C,)


def test_what_is_listed_already_is_not_named_again() -> None:
    known = family(shard(A), shard(B, A))
    known.name([shard(B, A)])
    assert known.known == (shard(A), shard(B, A))


# ---------------------------------------------------------------------------------------------------------------------- missing


@rule("stream.shards.lost-shard")
def test_a_shard_that_is_not_finished_and_not_listed_is_missing_and_holds_its_children_up() -> None:
    known = family(shard(B, A), shard(C, A))
    states = {A: ENROLLED}
    assert known.missing(states) == (A,)
    assert readable(known.known, states, known.missing(states)) == ()
    assert known.missing({A: FINISHED}) == ()
    assert readable(known.known, {A: FINISHED}) == (B, C)


@rule("stream.shards.lost-shard")
def test_a_generation_that_came_and_went_while_nobody_looked_is_missing() -> None:
    known = family(shard(D, B, C))  # of A, which was split into B and C
    assert set(known.missing({A: ENROLLED})) == {A, B, C}
    assert set(known.missing({A: FINISHED})) == {B, C}


def test_what_was_over_before_the_mapping_began_is_not_missing() -> None:
    known = family(shard(B, A))
    assert known.missing({B: ENROLLED}) == ()
    assert known.missing({B: STARTED}) == ()
    assert known.missing({B: FINISHED}) == ()
    assert readable(known.known, {B: ENROLLED}, known.missing({B: ENROLLED})) == (B,)


def test_a_child_that_a_parent_has_named_is_not_missing() -> None:
    known = family(shard(A))
    known.name([shard(B, A)])
    assert known.missing({A: FINISHED, B: STARTED}) == ()


@given(st.data())
def test_whatever_is_missing_somebody_can_go_on_or_is_to_be_buried(data: st.DataObject) -> None:
    names = [ShardId(f"s{number}") for number in range(data.draw(st.integers(1, 7)))]
    parents = [
        data.draw(st.lists(st.sampled_from(names[:index]), max_size=2, unique=True)) if index else []
        for index in range(len(names))
    ]
    all_shards = [shard(name, *some) for name, some in zip(names, parents, strict=True)]
    known = family(*data.draw(st.lists(st.sampled_from(all_shards), unique=True)))
    states = {
        name: data.draw(st.sampled_from([FINISHED, ENROLLED, STARTED]))
        for name in data.draw(st.lists(st.sampled_from(names), unique=True))
    }
    missing = known.missing(states)
    ready = readable(known.known, states, missing)
    unfinished = {one.id for one in known.known if not states.get(one.id, ENROLLED).finished}
    assert not set(missing) & ({one.id for one in known.known} | {name for name, state in states.items() if state.finished})
    assert bool(ready or missing) == bool(unfinished or missing)
    for one in known.known:
        if one.id in ready:
            assert not set(one.parents) & (unfinished | set(missing))
