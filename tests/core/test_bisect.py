"""BisectBatchOnFunctionError: a failed batch is split until what is bad stands alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.build import RAISED, THROTTLED, attempt, ids, play, records, reported

from poller.core.model import Accepted, Attempt, Failed, FailureKind, Outcome, Refused
from poller.core.policy import StreamPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

rule = pytest.mark.rule

BISECT = StreamPolicy(max_retries=1, bisect=True)


def raises_on(*bad: int) -> Callable[[Attempt], Outcome]:
    """A function that raises if any of these records is in its event."""
    names = {str(number) for number in bad}
    return lambda of: RAISED if names & set(ids(of.records)) else Accepted()


@rule("stream.bisect.splits-failures")
@rule("stream.bisect.left-before-right")
@rule("stream.bisect.single-record-retries")
def test_splitting_goes_on_until_the_bad_record_stands_alone_and_only_that_is_given_up() -> None:
    seen = play(BISECT, records(1, 2, 3, 4), raises_on(4))
    assert seen.deliveries == [["1", "2", "3", "4"], ["1", "2"], ["3", "4"], ["3"], ["4"], ["4"]]
    assert [(ids(one.records), one.reason, one.invoke_count) for one in seen.discards] == [(["4"], "RetryAttemptsExhausted", 2)]
    assert seen.settled == ["1", "2", "3", "4"]


@rule("stream.bisect.left-before-right")
def test_the_second_half_waits_until_the_first_is_settled_to_its_last_record() -> None:
    seen = play(BISECT, records(1, 2, 3, 4), raises_on(1))
    assert seen.deliveries == [["1", "2", "3", "4"], ["1", "2"], ["1"], ["1"], ["2"], ["3", "4"]]


@rule("stream.bisect.at-once-in-the-middle")
@pytest.mark.parametrize(("size", "left"), [(2, 1), (3, 2), (4, 2), (5, 3), (9, 5), (100, 50)])
def test_the_first_half_has_the_odd_record_and_nothing_is_waited_for(size: int, left: int) -> None:
    decision = BISECT.judge(attempt(*range(size)), RAISED)
    assert [len(again.records) for again in decision.again] == [left, size - left]
    assert decision.wait == 0.0


@rule("stream.bisect.half-is-a-new-batch")
@rule("stream.bisect.spends-no-retry")
@rule("stream.retry.request-id")
@pytest.mark.parametrize("retries", [0, 1, 5])
def test_each_half_has_all_its_retries_and_a_request_id_of_its_own(retries: int) -> None:
    decision = BISECT.judge(attempt(1, 2, 3, retries=retries, refusals=2, request_id="r"), RAISED)
    assert decision.again == (attempt(1, 2), attempt(3))


@rule("stream.bisect.spends-no-retry")
def test_without_any_retry_a_batch_is_still_split_down_to_single_records() -> None:
    seen = play(StreamPolicy(max_retries=0, bisect=True), records(1, 2, 3, 4), raises_on(2))
    assert seen.deliveries == [["1", "2", "3", "4"], ["1", "2"], ["1"], ["2"], ["3", "4"]]
    assert [ids(one.records) for one in seen.discards] == [["2"]]


@rule("stream.bisect.splits-failures")
@pytest.mark.parametrize("kind", ["function_error", "timeout", "crash", "oom", "batch_item"])
def test_each_kind_of_function_error_splits(kind: FailureKind) -> None:
    assert len(BISECT.judge(attempt(1, 2), Failed(kind)).again) == 2


@rule("stream.bisect.too-large-splits")
def test_a_batch_that_its_transport_does_not_take_is_split() -> None:
    assert BISECT.judge(attempt(1, 2), Failed("invoke_error")).again == (attempt(1), attempt(2))


@rule("stream.bisect.not-for-throttles")
@pytest.mark.parametrize("refused", [THROTTLED, Refused("unavailable", 2.0)])
def test_a_refusal_splits_nothing(refused: Refused) -> None:
    assert BISECT.judge(attempt(1, 2, 3), refused).again == (attempt(1, 2, 3, refusals=1),)


@rule("stream.bisect.single-record-retries")
def test_a_single_record_is_retried_under_its_request_id() -> None:
    assert BISECT.judge(attempt(1, request_id="r"), RAISED).again == (attempt(1, retries=1, request_id="r"),)


@rule("stream.bisect.partial-split-point")
def test_a_valid_partial_answer_takes_the_place_of_the_split() -> None:
    decision = BISECT.judge(attempt(1, 2, 3, 4, 5), reported(4))
    assert ids(decision.settle) == ["1", "2", "3"]
    assert decision.again == (attempt(4, 5),)


@rule("stream.bisect.first-reported-stands-alone")
def test_a_partial_answer_that_reports_the_first_record_splits_behind_it() -> None:
    decision = BISECT.judge(attempt(1, 2, 3, 4, 5), reported(1, 3))
    assert decision.settle == ()
    assert decision.again == (attempt(1), attempt(2, 3, 4, 5))
    assert decision.wait == 0.0


@rule("stream.bisect.first-reported-stands-alone")
def test_with_bisecting_a_reported_record_blocks_only_itself() -> None:
    def function(of: Attempt) -> Outcome:
        return reported(3) if "3" in ids(of.records) else Accepted()

    seen = play(BISECT, records(1, 2, 3, 4, 5), function)
    assert seen.deliveries == [["1", "2", "3", "4", "5"], ["3", "4", "5"], ["3"], ["3"], ["4", "5"]]
    assert [ids(one.records) for one in seen.discards] == [["3"]]


@rule("stream.bisect.bound")
@given(st.data())
def test_bad_records_are_found_in_about_two_log_n_invocations_each(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 200), label="records")
    bad = data.draw(st.sets(st.integers(1, size), max_size=4), label="bad")
    retries = data.draw(st.integers(0, 3), label="retries")
    seen = play(StreamPolicy(max_retries=retries, bisect=True), records(*range(1, size + 1)), raises_on(*bad))
    depth = math.ceil(math.log2(size))
    assert len(seen.invoked) <= max(1, len(bad) * (2 * depth + retries + 1))
    assert [ids(one.records) for one in seen.discards] == [[str(number)] for number in sorted(bad)]
    assert seen.settled == [str(number) for number in range(1, size + 1)]
