"""Gathering: by count, by exact bytes, by window, by age."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import orjson
import pytest
from support.build import ids, record, records

from poller.core.batching import Batcher, BatchLimits
from poller.core.envelope import FRAME_BYTES, MAX_EVENT_BYTES, SEPARATOR_BYTES, envelope

if TYPE_CHECKING:
    from poller.core.model import Batch, Record

rule = pytest.mark.rule


def seen(batches: list[Batch]) -> list[tuple[list[str], str]]:
    return [(ids(batch.records), batch.trigger) for batch in batches]


def opened(limits: BatchLimits, at: float = 100.0) -> Batcher:
    batcher = Batcher(limits)
    batcher.opened(at)
    return batcher


def sized(number: int, size: int) -> Record:
    return record(number, payload=b'"%s"' % (b"x" * (size - 2)))


# --------------------------------------------------------------------------------------------------------------------- event


@rule("kinesis.event.shape")
@pytest.mark.parametrize("numbers", [(), (1,), (1, 2, 3)])
def test_the_event_is_an_object_with_the_records_in_order(numbers: tuple[int, ...]) -> None:
    assert orjson.loads(envelope(records(*numbers))) == {"Records": [{"n": number} for number in numbers]}


@rule("stream.batch.size-is-the-event")
@pytest.mark.parametrize("sizes", [(10,), (10, 11), (10, 11, 12, 500)])
def test_the_size_of_an_event_is_its_frame_its_payloads_and_a_comma_between_two(sizes: tuple[int, ...]) -> None:
    some = [sized(number, size) for number, size in enumerate(sizes)]
    assert len(envelope(some)) == FRAME_BYTES + sum(sizes) + SEPARATOR_BYTES * (len(sizes) - 1)


@rule("stream.batch.bytes")
def test_lambdas_limit_is_six_mebibytes() -> None:
    assert MAX_EVENT_BYTES == BatchLimits(count=1).event_bytes == 6_291_456


# --------------------------------------------------------------------------------------------------------------------- count


@rule("stream.batch.count")
def test_a_batch_goes_out_as_soon_as_it_is_full() -> None:
    batcher = opened(BatchLimits(count=3, window=60))
    assert seen(list(batcher.add(records(1, 2), 100))) == []
    assert batcher.room == 1
    assert seen(list(batcher.add(records(3, 4, 5, 6, 7), 100))) == [(["1", "2", "3"], "count"), (["4", "5", "6"], "count")]
    assert batcher.room == 2


@rule("stream.batch.count")
def test_an_empty_batcher_has_room_for_a_whole_batch() -> None:
    batcher = opened(BatchLimits(count=3))
    assert batcher.room == 3
    list(batcher.add(records(1, 2, 3), 100))
    assert batcher.room == 3


# -------------------------------------------------------------------------------------------------------------------- window


@rule("stream.batch.no-window")
def test_without_a_window_a_single_record_goes_out_at_once() -> None:
    batcher = opened(BatchLimits(count=100))
    assert seen(list(batcher.add(records(1), 100))) == [(["1"], "window")]


@rule("stream.batch.no-window")
def test_without_a_window_what_one_read_brought_goes_out_in_as_few_batches_as_the_count_allows() -> None:
    batcher = opened(BatchLimits(count=2))
    assert [names for names, _ in seen(list(batcher.add(records(1, 2, 3), 100)))] == [["1", "2"], ["3"]]


@rule("stream.batch.no-window")
def test_what_can_be_had_at_once_is_waited_for() -> None:
    batcher = opened(BatchLimits(count=100))
    assert seen(list(batcher.add(records(1), 100, more=True))) == []
    assert batcher.patience(100) == 0.0
    assert seen(list(batcher.add(records(2), 100))) == [(["1", "2"], "window")]


@rule("stream.batch.window")
def test_a_batch_goes_out_when_its_window_is_over() -> None:
    batcher = opened(BatchLimits(count=100, window=5), at=100)
    assert seen(list(batcher.add(records(1), 101))) == []
    assert batcher.patience(101) == 4.0
    assert seen(list(batcher.add(records(2), 104.999))) == []
    assert seen(list(batcher.add((), 105))) == [(["1", "2"], "window")]
    assert batcher.patience(105) is None


@rule("stream.batch.window")
def test_an_ended_window_closes_nothing_while_more_can_be_had_at_once() -> None:
    batcher = opened(BatchLimits(count=3, window=5), at=100)
    assert seen(list(batcher.add(records(1), 106, more=True))) == []
    assert seen(list(batcher.add(records(2, 3, 4), 106, more=True))) == [(["1", "2", "3"], "count")]
    assert seen(list(batcher.add((), 106))) == [(["4"], "window")]


@rule("stream.batch.window-opens-after-invocation")
def test_the_next_window_counts_from_when_it_was_opened_not_from_its_first_record() -> None:
    batcher = opened(BatchLimits(count=100, window=5), at=100)
    assert seen(list(batcher.add(records(1), 105))) == [(["1"], "window")]
    batcher.opened(130)
    assert seen(list(batcher.add(records(2), 134))) == []
    assert batcher.patience(134) == 1.0
    assert seen(list(batcher.add(records(3), 135))) == [(["2", "3"], "window")]


@rule("stream.batch.window-opens-after-invocation")
def test_what_is_left_after_a_full_batch_waits_for_the_window_that_opens_after_its_invocation() -> None:
    batcher = opened(BatchLimits(count=2, window=5), at=100)
    rest = batcher.add(records(1, 2, 3), 104)
    assert ids(next(rest).records) == ["1", "2"]
    batcher.opened(120)  # the invocation took 16 seconds
    assert list(rest) == []
    assert batcher.patience(121) == 4.0
    assert seen(list(batcher.add((), 125))) == [(["3"], "window")]


@rule("stream.lanes.full")
def test_a_batch_goes_out_before_its_window_is_over_where_no_more_can_come() -> None:
    batcher = opened(BatchLimits(count=3, window=60))
    assert list(batcher.add((), 100, full=True)) == []
    assert seen(list(batcher.add(records(1, 2), 101, full=True))) == [(["1", "2"], "full")]
    assert seen(list(batcher.add(records(3, 4, 5, 6), 102, full=True))) == [(["3", "4", "5"], "count"), (["6"], "full")]
    assert batcher.patience(102) is None


def test_an_empty_batch_never_goes_out() -> None:
    batcher = opened(BatchLimits(count=2, window=5, max_age=1))
    assert list(batcher.add((), 10_000)) == []
    assert batcher.patience(10_000) is None
    assert list(batcher.flush()) == []


def test_at_the_end_what_is_held_goes_out_once() -> None:
    batcher = opened(BatchLimits(count=9, window=60))
    list(batcher.add(records(1, 2), 100))
    assert seen(list(batcher.flush())) == [(["1", "2"], "end")]
    assert list(batcher.flush()) == []
    assert batcher.room == 9


# ----------------------------------------------------------------------------------------------------------------------- age


@rule("stream.age.in-window")
def test_a_batch_goes_out_when_its_first_record_expires_though_the_window_is_longer() -> None:
    batcher = opened(BatchLimits(count=100, window=300, max_age=60), at=100)
    assert seen(list(batcher.add((record(1, arrived_at=70), record(2, arrived_at=90)), 101))) == []
    assert batcher.patience(101) == 29.0
    assert seen(list(batcher.add((), 129.999))) == []
    assert seen(list(batcher.add((), 130))) == [(["1", "2"], "age")]


@rule("stream.age.in-window")
def test_the_window_still_closes_a_batch_whose_records_are_young() -> None:
    batcher = opened(BatchLimits(count=100, window=5, max_age=60), at=100)
    list(batcher.add((record(1, arrived_at=100),), 100))
    assert batcher.patience(100) == 5.0
    assert seen(list(batcher.add((), 105))) == [(["1"], "window")]


@rule("stream.age.in-window")
def test_age_is_told_by_unix_time_and_the_window_by_the_steady_clock() -> None:
    batcher = opened(BatchLimits(count=100, window=300, max_age=60), at=7)
    assert seen(list(batcher.add((record(1, arrived_at=1_000_000),), 8, skew=1_000_000 - 8))) == []
    assert batcher.patience(8, 1_000_000 - 8) == 60.0
    assert batcher.patience(8, 1_000_000 - 8 + 20) == 40.0  # the wall clock was put forward by 20 s
    assert seen(list(batcher.add((), 48, skew=1_000_000 - 8 + 20))) == [(["1"], "age")]


# --------------------------------------------------------------------------------------------------------------------- bytes


@rule("stream.batch.bytes")
@rule("stream.batch.size-is-the-event")
@pytest.mark.parametrize("seed", range(20))
def test_an_event_may_be_exactly_as_large_as_the_limit_and_no_byte_larger(seed: int) -> None:
    chance = random.Random(seed)
    some = [sized(number, chance.randint(2, 400)) for number in range(chance.randint(2, 12))]
    exact = len(envelope(some))
    for limit, whole in ((exact - 1, False), (exact, True), (exact + 1, True)):
        first, *others = opened(BatchLimits(count=100, event_bytes=limit)).add(some, 100)
        assert ids(first.records) == ids(some if whole else some[:-1])
        assert seen(others) == ([] if whole else [(ids(some[-1:]), "window")])
        assert first.trigger == ("window" if whole else "bytes")


@rule("stream.batch.bytes")
def test_a_batch_goes_out_before_the_record_that_would_make_it_too_large() -> None:
    limit = len(envelope([sized(1, 50), sized(2, 50)]))
    batcher = opened(BatchLimits(count=100, window=60, event_bytes=limit))
    assert seen(list(batcher.add([sized(n, 50) for n in range(1, 6)], 100))) == [(["1", "2"], "bytes"), (["3", "4"], "bytes")]
    assert seen(list(batcher.flush())) == [(["5"], "end")]


@rule("stream.batch.oversized-record")
def test_a_record_that_is_larger_than_any_event_makes_a_batch_of_its_own() -> None:
    batcher = opened(BatchLimits(count=100, event_bytes=200))
    some = [sized(1, 20), sized(2, 500), sized(3, 20), sized(4, 500)]
    assert [names for names, _ in seen(list(batcher.add(some, 100)))] == [["1"], ["2"], ["3"], ["4"]]


@rule("stream.batch.size-is-the-event")
def test_bytes_are_counted_anew_for_each_batch() -> None:
    limit = len(envelope([sized(1, 50), sized(2, 50)]))
    batcher = opened(BatchLimits(count=2, window=60, event_bytes=limit))
    closed = [batch for number in range(8) for batch in batcher.add([sized(number, 50)], 100)]
    assert seen(closed) == [(["0", "1"], "count"), (["2", "3"], "count"), (["4", "5"], "count"), (["6", "7"], "count")]
