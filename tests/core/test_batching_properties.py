"""What holds for every sequence of reads: nothing lost, nothing too large, nothing held for too long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from support.build import ids, record

from poller.core.batching import Batcher, BatchLimits
from poller.core.envelope import envelope

if TYPE_CHECKING:
    from poller.core.model import Batch, Record


@dataclass(frozen=True)
class Read:
    """What one read brings: payload sizes, seconds since the last one, how old the records are, whether more can be had."""

    sizes: list[int]
    after: int
    age: int
    more: bool
    took: int


reads = st.lists(
    st.builds(
        Read, st.lists(st.integers(0, 12), max_size=6), st.integers(0, 9), st.integers(0, 30), st.booleans(), st.integers(0, 9)
    ),
    max_size=8,
)
limits = st.builds(
    BatchLimits,
    count=st.integers(1, 10),
    window=st.integers(0, 60),
    max_age=st.none() | st.integers(1, 40),
    event_bytes=st.integers(14, 60),
)


@dataclass
class Gathered:
    """A batcher that has been through some reads: what went in, what came out, whether the last read had more to come."""

    given: list[Record]
    closed: list[Batch]
    now: int
    more: bool


def gather(batcher: Batcher, some: list[Read], skew: int = 0) -> Gathered:
    seen = Gathered(given=[], closed=[], now=1000, more=False)
    batcher.opened(seen.now)
    for read in some:
        seen.now += read.after
        at = seen.now
        first = len(seen.given)
        piece = [
            record(first + place, payload=b"x" * size, arrived_at=at + skew - read.age) for place, size in enumerate(read.sizes)
        ]
        seen.given += piece
        seen.more = read.more
        for batch in batcher.add(piece, at, more=read.more, skew=skew):
            seen.closed.append(batch)
            seen.now += read.took  # the invocation
            batcher.opened(seen.now)
    return seen


def held(batcher: Batcher) -> list[Record]:
    return [one for batch in batcher.flush() for one in batch.records]


@given(limits, reads)
def test_the_batches_and_what_is_held_are_what_came_in(limit: BatchLimits, some: list[Read]) -> None:
    batcher = Batcher(limit)
    seen = gather(batcher, some)
    room = batcher.room
    out = [one for batch in seen.closed for one in batch.records]
    left = held(batcher)
    assert out + left == seen.given
    assert room == limit.count - len(left)
    assert room >= 1


@given(limits, reads)
def test_no_batch_is_empty_or_has_too_many_records_or_bytes_unless_it_is_a_single_record(
    limit: BatchLimits, some: list[Read]
) -> None:
    for batch in gather(Batcher(limit), some).closed:
        assert 1 <= len(batch.records) <= limit.count
        assert len(envelope(batch.records)) <= limit.event_bytes or len(batch.records) == 1


@given(limits, reads)
def test_what_is_said_to_have_closed_a_batch_is_true(limit: BatchLimits, some: list[Read]) -> None:
    batcher = Batcher(limit)
    seen = gather(batcher, some)
    following = [batch.records[0] for batch in seen.closed[1:]] + held(batcher)[:1]
    for place, batch in enumerate(seen.closed):
        match batch.trigger:
            case "count":
                assert len(batch.records) == limit.count
            case "bytes":
                assert len(envelope([*batch.records, following[place]])) > limit.event_bytes
            case "window" | "age":
                assert len(batch.records) < limit.count
            case "end":
                raise AssertionError(batch)


@given(limits, reads, st.integers(0, 20))
def test_patience_is_never_negative_and_ends_exactly_when_the_batch_goes_out(
    limit: BatchLimits, some: list[Read], later: int
) -> None:
    batcher = Batcher(limit)
    now = gather(batcher, some).now + later
    patience = batcher.patience(now)
    if patience is None:
        assert list(batcher.flush()) == []
        return
    assert patience >= 0.0
    if patience > 0.0:
        assert list(batcher.add((), now)) == []
        assert list(batcher.add((), now + patience - 0.5)) == []
    (batch,) = batcher.add((), now + patience)
    assert batch.trigger in ("window", "age")
    assert batcher.patience(now) is None


@given(limits, reads)
def test_nothing_is_held_beyond_its_window_or_age_unless_more_can_be_had(limit: BatchLimits, some: list[Read]) -> None:
    batcher = Batcher(limit)
    seen = gather(batcher, some)
    if some and not seen.more and not some[-1].took:
        patience = batcher.patience(seen.now)
        assert patience is None or patience > 0.0


@given(limits, reads, st.integers(-(10**9), 10**9))
def test_where_the_two_clocks_began_does_not_matter(limit: BatchLimits, some: list[Read], skew: int) -> None:
    plain, skewed = Batcher(limit), Batcher(limit)
    here, there = gather(plain, some), gather(skewed, some, skew)
    assert [(ids(one.records), one.trigger) for one in here.closed] == [(ids(one.records), one.trigger) for one in there.closed]
    assert plain.patience(here.now) == skewed.patience(there.now, skew)
