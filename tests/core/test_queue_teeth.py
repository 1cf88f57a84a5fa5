"""Known bugs of what is decided about messages, planted again: each must turn its tests red."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.teeth import Mutant, bites, copied, healthy

if TYPE_CHECKING:
    from pathlib import Path

POLICY = "poller/core/queue_policy.py"

TABLES = "tests/core/test_queue_policy.py::"
FIFO = "tests/core/test_queue_policy_fifo.py::"
PROPERTIES = "tests/core/test_queue_policy_properties.py::"

QUICK = [
    Mutant(
        name="a failed message is deleted",
        file=POLICY,
        old="settle=tuple(record for record in attempt.records if record.id not in failed),",
        new="settle=attempt.records,",
        tests=(
            TABLES + "test_what_a_partial_answer_reports_stays_in_the_queue",
            PROPERTIES + "test_every_message_is_in_exactly_one_part_of_a_decision",
            PROPERTIES + "test_nothing_that_failed_is_deleted",
        ),
    ),
]
"""A sample for every run; the others take their time."""

ONE_FOR_ALL = """discard=tuple(
                Discard(records=tuple(given_up), reason="RetryAttemptsExhausted", attempt=attempt, invoke_count=1)
                for _ in given_up[:1]
            ),"""

MUTANTS = [
    Mutant(
        name="one delivery too many",
        file=POLICY,
        old="record.receives >= self.max_receives",
        new="record.receives > self.max_receives",
        tests=(TABLES + "test_a_message_that_always_fails_is_given_up_at_its_last_delivery_and_not_before",),
    ),
    Mutant(
        name="a message is given up unseen at its last delivery",
        file=POLICY,
        old="if record.receives > self.max_receives)",
        new="if record.receives >= self.max_receives)",
        tests=(
            TABLES + "test_what_was_delivered_too_often_without_a_verdict_is_given_up_before_it_is_invoked",
            PROPERTIES + "test_a_message_that_never_succeeds_is_invoked_as_often_as_its_limit_says_and_no_more",
        ),
    ),
    Mutant(
        name="the group guard does not hold what is not reported",
        file=POLICY,
        old="(self.guard or record.id in failed)",
        new="record.id in failed",
        tests=(
            FIFO + "test_from_the_first_message_that_goes_back_on_its_whole_group_goes_back",
            PROPERTIES + "test_with_the_guard_nothing_of_a_group_is_done_behind_a_message_that_goes_back",
        ),
    ),
    Mutant(
        name="a message behind one that goes back is given up",
        file=POLICY,
        old="            if record.group in stopped and (self.guard or record.id in failed):",
        new="            if record.group in stopped and (self.guard or record.id in failed) and not self.each.spent(record):",
        tests=(
            FIFO + "test_behind_a_message_that_goes_back_none_is_given_up",
            PROPERTIES + "test_with_the_guard_nothing_of_a_group_is_done_behind_a_message_that_goes_back",
        ),
    ),
    Mutant(
        name="a group waits as its last message has to",
        file=POLICY,
        old="delay=self.each.delay(group[0])) for group in groups)",
        new="delay=self.each.delay(group[-1])) for group in groups)",
        tests=(
            FIFO + "test_a_group_waits_as_its_first_message_has_to",
            PROPERTIES + "test_a_group_goes_back_as_one_in_its_order",
        ),
    ),
    Mutant(
        name="a throttled batch goes back and spends its receives",
        file=POLICY,
        old="                return refused(attempt, outcome)\n",
        new="                return Decision(release=self.releases(attempt.records))\n",
        tests=(
            TABLES + "test_what_nobody_runs_is_tried_again_as_the_same_batch_and_spends_nothing",
            PROPERTIES + "test_a_refusal_keeps_the_batch_whole_and_spends_nothing",
        ),
    ),
    Mutant(
        name="messages are given up as one",
        file=POLICY,
        old="discard=tuple(_exhausted(record, attempt, record.receives, outcome) for record in given_up),",
        new=ONE_FOR_ALL,
        tests=(
            TABLES + "test_each_message_is_given_up_by_itself",
            PROPERTIES + "test_each_message_is_given_up_by_itself_and_only_at_its_limit",
        ),
    ),
    Mutant(
        name="of two copies of a message both go",
        file="poller/core/model.py",
        old="(record.id, record.receipt) not in names)",
        new="record.id not in {name for name, _ in names})",
        tests=(TABLES + "test_of_two_copies_of_a_message_only_the_one_that_is_meant_goes",),
    ),
    Mutant(
        name="an attribute of a message that was given up loses its type",
        file="poller/core/report.py",
        old='names = {"dataType": "DataType", "stringValue"',
        new='names = {"stringValue"',
        tests=("tests/core/test_message_report.py::test_body_and_attributes_are_as_they_were_sent",),
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
