"""Known bugs of the deciding half, planted again: each must turn its tests red."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.teeth import Mutant, bites, copied, healthy, is_case

if TYPE_CHECKING:
    from pathlib import Path

BATCHING = "tests/core/test_batching.py::"
BATCHES = "tests/core/test_batching_properties.py::"
AGE = "tests/core/test_record_age.py::"
BISECT = "tests/core/test_bisect.py::"
CUTS = "tests/core/test_cuts.py::"
MODEL = "tests/core/test_policy_model.py::test_the_policy_does_what_the_rules_say"
PROGRESS = "tests/core/test_progress.py::"
PROPERTIES = "tests/core/test_policy_properties.py::"
REPORT = "tests/core/test_report.py::"
RESPONSE = "tests/core/test_response.py::"
RESTARTS = "tests/shell/test_lane_restarts.py::"
RETRIES = "tests/core/test_retries.py::"

QUICK = [
    Mutant(
        name="the budget is not reset after a partial answer",
        file="poller/core/policy.py",
        old="rest = Attempt(records=attempt.records[first:])",
        new="rest = replace(attempt, records=attempt.records[first:], retries=attempt.retries + 1)",
        tests=(
            MODEL,
            RETRIES + "test_the_last_of_six_records_always_reported_is_delivered_five_times",
            RETRIES + "test_what_a_partial_answer_leaves_over_has_all_its_retries",
        ),
    ),
    Mutant(
        name="settling passes an open position",
        file="poller/core/progress.py",
        old="                break\n",
        new="                continue\n",
        tests=(
            PROGRESS + "test_a_checkpoint_never_passes_an_open_record_and_never_moves_back",
            PROGRESS + "test_in_whatever_order_records_are_settled_the_checkpoint_is_the_end_of_the_settled_prefix",
        ),
    ),
]
"""A sample for every run; the others take their time."""

MUTANTS = [
    Mutant(
        name="age is not looked at",
        file="poller/core/policy.py",
        old="        if late == 0:\n",
        new="        if late >= 0:\n",
        tests=(
            MODEL,
            AGE + "test_a_record_that_is_too_old_at_first_is_given_up_unseen_and_counts_one_invocation",
            AGE + "test_expiry_loses_nothing_and_takes_the_longest_prefix_that_is_too_old",
        ),
    ),
    Mutant(
        name="an expired record in the middle is dropped",
        file="poller/core/policy.py",
        old="rest = attempt.records[late:]",
        new="rest = tuple(record for record in attempt.records[late:] if record.arrived_at > now - self.max_age)",
        tests=(
            MODEL,
            AGE + "test_an_old_record_in_the_middle_stays_with_the_young_ones_around_it",
            AGE + "test_expiry_loses_nothing_and_takes_the_longest_prefix_that_is_too_old",
        ),
    ),
    Mutant(
        name="one retry too many",
        file="poller/core/policy.py",
        old="attempt.retries >= self.max_retries",
        new="attempt.retries > self.max_retries",
        tests=(
            MODEL,
            PROPERTIES + "test_a_policy_with_a_limit_always_comes_to_an_end",
            RETRIES + "test_a_batch_that_always_fails_is_invoked_once_and_then_once_for_each_retry",
        ),
    ),
    Mutant(
        name="a refusal spends a retry",
        file="poller/core/policy.py",
        old="replace(attempt, refusals=attempt.refusals + 1)",
        new="replace(attempt, refusals=attempt.refusals + 1, retries=attempt.retries + 1)",
        tests=(
            MODEL,
            PROPERTIES + "test_a_refused_attempt_is_never_given_up",
            RETRIES + "test_a_refusal_spends_no_retry_and_changes_nothing_else",
        ),
    ),
    Mutant(
        name="splitting spends a retry",
        file="poller/core/policy.py",
        old="return Attempt(records=attempt.records[:at]), Attempt(records=attempt.records[at:])",
        new="return Attempt(records=attempt.records[:at], retries=1), Attempt(records=attempt.records[at:], retries=1)",
        tests=(MODEL, BISECT + "test_each_half_has_all_its_retries_and_a_request_id_of_its_own"),
    ),
    Mutant(
        name="a half keeps the request id",
        file="poller/core/policy.py",
        old="return Attempt(records=attempt.records[:at]), ",
        new="return replace(attempt, records=attempt.records[:at], retries=0, refusals=0), ",
        tests=(MODEL, PROPERTIES + "test_no_attempt_comes_out_empty_and_only_an_unchanged_one_keeps_its_request_id"),
    ),
    Mutant(
        name="the split loses a record",
        file="poller/core/policy.py",
        old="Attempt(records=attempt.records[at:])",
        new="Attempt(records=attempt.records[at + 1 :] or attempt.records[at:])",
        tests=(MODEL, PROPERTIES + "test_a_decision_loses_and_repeats_nothing_and_keeps_the_order"),
    ),
    Mutant(
        name="a reported first record is settled",
        file="poller/core/policy.py",
        old="return Decision(settle=attempt.records[:first], again=(rest,), wait=self.backoff.wait(0), state=outcome.state)",
        new="return Decision(settle=attempt.records[: first + 1], again=(Attempt(records=rest.records[1:] or rest.records),))",
        tests=(MODEL, PROPERTIES + "test_nothing_is_settled_that_the_function_did_not_accept"),
    ),
    Mutant(
        name="refusals are waited for as if they had been failures",
        file="poller/core/policy.py",
        old="again = replace(attempt, retries=attempt.retries + 1, refusals=0, blocked=False)",
        new="again = replace(attempt, retries=attempt.retries + 1, blocked=False)",
        tests=(MODEL, RETRIES + "test_refusals_wait_ever_longer_too_and_a_failure_between_starts_them_anew"),
    ),
    Mutant(
        name="an unknown identifier beside a valid one is overlooked",
        file="poller/core/response.py",
        old='            return Failed("batch_item", f"batchItemFailures names no record of the batch: {shown}")\n',
        new='            if len(failures) == 1:\n                return Failed("batch_item", "names no record of the batch")\n',
        tests=(
            RESPONSE + "test_an_entry_that_names_no_record_of_the_batch_is_complete_failure",
            RESPONSE + "test_failures_are_partial_exactly_if_each_entry_names_a_record",
        ),
    ),
    Mutant(
        name="the event may be a byte too large",
        file="poller/core/batching.py",
        old="self._bytes + len(record.payload) > self._most",
        new="self._bytes + len(record.payload) - 1 > self._most",
        tests=(
            BATCHING + "test_an_event_may_be_exactly_as_large_as_the_limit_and_no_byte_larger",
            BATCHES + "test_no_batch_is_empty_or_has_too_many_records_or_bytes_unless_it_is_a_single_record",
        ),
    ),
    Mutant(
        name="the event is a byte too small",
        file="poller/core/batching.py",
        old="self._bytes + len(record.payload) > self._most",
        new="self._bytes + len(record.payload) + SEPARATOR_BYTES > self._most",
        tests=(
            BATCHING + "test_an_event_may_be_exactly_as_large_as_the_limit_and_no_byte_larger",
            BATCHES + "test_what_is_said_to_have_closed_a_batch_is_true",
        ),
    ),
    Mutant(
        name="an expired record waits for the end of its window",
        file="poller/core/batching.py",
        old='return "age" if now >= self._expiry(skew) else None',
        new="return None",
        tests=(
            BATCHING + "test_a_batch_goes_out_when_its_first_record_expires_though_the_window_is_longer",
            BATCHES + "test_patience_is_never_negative_and_ends_exactly_when_the_batch_goes_out",
        ),
    ),
    Mutant(
        name="a repeated record moves the checkpoint back",
        file="poller/core/progress.py",
        old="        if top <= self.reached:\n",
        new="        if top == BEGINNING:\n",
        tests=(
            PROGRESS + "test_a_checkpoint_never_passes_an_open_record_and_never_moves_back",
            PROGRESS + "test_a_record_that_the_source_repeats_is_open_again_and_does_not_move_the_checkpoint_back",
        ),
    ),
    Mutant(
        name="an expired record has a response context",
        file="poller/core/report.py",
        old="        case _:\n            return None\n",
        new='        case _:\n            error = "Unhandled"\n',
        tests=(
            REPORT + "test_the_document_of_expired_records_has_no_response_context_key_at_all",
            REPORT + "test_the_document_of_an_event_that_was_too_large_has_no_response_context_either",
        ),
    ),
    Mutant(
        name="a restart starts a split over",
        file="poller/lane.py",
        old="Batcher(work.limits, lane.memo.cuts)",
        new="Batcher(work.limits)",
        tests=(
            RESTARTS + "test_who_comes_after_begins_with_the_attempt_that_was_under_way",
            RESTARTS + "test_a_blocked_batch_is_the_same_one_after_a_restart_and_is_blocked_by_one_failure",
        ),
    ),
    Mutant(
        name="what is given up is forgotten before it is reported",
        file="poller/core/splits.py",
        old="left = (first,) if decision.discard else decision.again",
        new="left = decision.again",
        tests=(CUTS + "test_what_is_settled_is_written_down_no_longer_and_what_is_given_up_only_once_it_is_reported",),
    ),
    Mutant(
        name="a piece of a batch begins with the failures of the whole",
        file="poller/core/batching.py",
        old="self._cuts = (replace(cut, retries=0), *others)",
        new="self._cuts = (cut, *others)",
        tests=(
            CUTS + "test_a_batch_knows_the_cuts_that_are_still_to_come",
            CUTS + "test_no_batch_goes_over_a_cut_and_nothing_is_lost_whatever_the_reads",
        ),
    ),
    Mutant(
        name="what was accepted and comes again is put together with the part of a batch behind it",
        file="poller/core/batching.py",
        old="before = (self._held or records)[0].position < cut.first",
        new="before = not cut.last",
        tests=(
            CUTS + "test_in_whatever_reads_it_comes_a_part_begins_with_its_first_record",
            CUTS + "test_no_batch_goes_over_a_cut_and_nothing_is_lost_whatever_the_reads",
            CUTS + "test_whatever_has_become_of_a_batch_its_open_attempts_are_found_again_wherever_the_checkpoint_is",
            RESTARTS + "test_what_was_accepted_and_comes_again_is_not_given_up_with_the_failures_of_what_is_left",
        ),
    ),
    Mutant(
        name="what comes again before a part of a batch is taken for a piece of it",
        file="poller/core/batching.py",
        old="        if last.position < cut.first:\n            return 0\n",
        new="",
        tests=(
            CUTS + "test_what_comes_again_before_a_part_is_a_batch_of_its_own_and_spends_none_of_its_retries",
            CUTS + "test_whatever_has_become_of_a_batch_its_open_attempts_are_found_again_wherever_the_checkpoint_is",
        ),
    ),
]


@pytest.mark.parametrize("mutant", QUICK, ids=str)
def test_a_planted_bug_turns_its_tests_red(mutant: Mutant, tmp_path: Path) -> None:
    assert bites(mutant, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS[::2], ids=str)
def test_each_second_planted_bug_turns_its_tests_red(mutant: Mutant, tmp_path: Path) -> None:
    assert bites(mutant, tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize("mutant", MUTANTS[1::2], ids=str)
def test_each_other_planted_bug_turns_its_tests_red(mutant: Mutant, tmp_path: Path) -> None:
    assert bites(mutant, tmp_path)


@pytest.mark.thorough
def test_without_a_bug_the_same_tests_are_green(tmp_path: Path) -> None:
    tests = sorted({test for mutant in [*QUICK, *MUTANTS] for test in mutant.tests})
    assert healthy(tests, tmp_path)


@pytest.mark.parametrize("mutant", [*QUICK, *MUTANTS], ids=str)
def test_each_bug_can_still_be_planted(mutant: Mutant, tmp_path: Path) -> None:
    """Quick, so that a change of the source that leaves a mutant behind is noticed at once."""
    mutant.plant(copied(tmp_path))


def test_a_bug_that_no_test_notices_is_told() -> None:
    assert is_case("tests/a.py::test_x[1-2]", "tests/a.py::test_x")
    assert is_case("tests/a.py::test_x::runTest", "tests/a.py::test_x")
    assert not is_case("tests/a.py::test_xy", "tests/a.py::test_x")


@pytest.mark.slow
def test_a_mutant_that_changes_nothing_is_not_taken_for_noticed(tmp_path: Path) -> None:
    harmless = Mutant(
        name="a comment",
        file="poller/core/progress.py",
        old="                break\n",
        new="                break  # here\n",
        tests=(PROGRESS + "test_it_is_drained_when_nothing_is_open",),
    )
    with pytest.raises(AssertionError, match="a comment: pytest ended with 0"):
        bites(harmless, tmp_path)
