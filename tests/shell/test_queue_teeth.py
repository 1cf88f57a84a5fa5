"""Known bugs of the acting half of queues, planted again: each must turn its tests red."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.teeth import Mutant, bites, copied, healthy

if TYPE_CHECKING:
    from pathlib import Path

VISIBILITY = "tests/shell/test_visibility.py::"
CROWDS = "tests/shell/test_visibility_crowds.py::"
DELETER = "tests/shell/test_deleter.py::"
SLOT = "tests/shell/test_slot.py::"
DRAIN = "tests/shell/test_slot_drain.py::"
FIFO = "tests/shell/test_slot_fifo.py::"
QUEUE = "tests/shell/test_queue.py::"
CORNERS = "tests/shell/test_queue_corners.py::"
SCALING = "tests/shell/test_queue_scaling.py::"

MUTANTS = [
    Mutant(
        name="what a long poll brought stands at the end of the line",
        file="poller/visibility.py",
        old="        if until < self._latest - self.seconds * SLACK:",
        new="        if until < 0:",
        tests=(
            VISIBILITY + "test_what_a_long_poll_brought_late_does_not_wait_for_what_was_asked_for_later",
            CROWDS + "test_while_the_service_works_nothing_that_is_in_hand_is_ever_visible_to_others",
        ),
    ),
    Mutant(
        name="an extension counts from its answer",
        file="poller/visibility.py",
        old="if index not in failed], asked_at + seconds)",
        new="if index not in failed], self._clock.monotonic() + seconds)",
        tests=(VISIBILITY + "test_an_extension_counts_from_when_it_was_asked_for",),
    ),
    Mutant(
        name="what was dropped is extended",
        file="poller/visibility.py",
        old="        return [hold for hold in ours if self._line.get(hold.record.receipt) is hold]",
        new="        return ours",
        tests=(
            CROWDS + "test_what_is_dropped_while_others_of_the_crowd_are_extended_is_left_alone",
            CROWDS + "test_who_lets_go_does_not_wait_for_extensions_of_others",
        ),
    ),
    Mutant(
        name="who lets go does not wait for an extension under way",
        file="poller/visibility.py",
        old="                await asyncio.wait([extension])\n",
        new="                del extension\n",
        tests=(CROWDS + "test_who_lets_go_waits_for_an_extension_under_way_that_could_hide_it_again",),
    ),
    Mutant(
        name="a call is waited for after the message has ceased to be ours",
        file="poller/visibility.py",
        old="min(self.seconds / 4, min(hold.until for hold in holds) - asked_at)",
        new="self.seconds / 4",
        tests=(VISIBILITY + "test_no_call_is_waited_for_longer_than_the_message_is_ours",),
    ),
    Mutant(
        name="all entries are deleted again when one failed",
        file="poller/deleter.py",
        old="if index in failed and self._worth_it(record, failed[index])]",
        new="if failed]",
        tests=(DELETER + "test_only_the_entries_that_failed_are_deleted_again",),
    ),
    Mutant(
        name="what is settled and not deleted has no bound",
        file="poller/deleter.py",
        old="while len(self._pending) >= MAX_PENDING:",
        new="while False:",
        tests=(DELETER + "test_who_settles_too_much_ahead_of_the_deletes_has_to_wait",),
    ),
    Mutant(
        name="a slot receives though nobody could run it",
        file="poller/slot.py",
        old="        if not await work.function.permits.free(work.function.name, self._drain, wait, work.priority):\n",
        new="        if self._drain.started:\n",
        tests=(SLOT + "test_nothing_is_received_while_the_function_has_no_free_permit",),
    ),
    Mutant(
        name="a poll lasts longer than its messages are hidden",
        file="poller/slot.py",
        old="int(min(self._queue.receive_wait, left, self._queue.visibility.seconds * POLL_PART))",
        new="int(min(self._queue.receive_wait, left))",
        tests=(SLOT + "test_a_poll_never_lasts_so_long_that_what_it_brings_may_be_visible_again",),
    ),
    Mutant(
        name="an empty queue is asked without a pause",
        file="poller/slot.py",
        old="            await self._pause(began, left)\n",
        new="            pass\n",
        tests=(SLOT + "test_without_long_polls_an_empty_queue_is_asked_once_a_second",),
    ),
    Mutant(
        name="nobody polls while a batch is in hand",
        file="poller/slot.py",
        old="            self._queue.start(scale.missing(full=self._abreast > 1, free=free))\n",
        new="",
        tests=(SCALING + "test_what_arrives_while_a_batch_runs_is_received_at_once",),
    ),
    Mutant(
        name="polls that find nothing go on for ever",
        file="poller/core/scaling.py",
        old="        return self.polling > self._limits.first\n",
        new="        return False\n",
        tests=(SCALING + "test_after_a_burst_one_poll_is_left",),
    ),
    Mutant(
        name="a slot that holds part of a batch ends",
        file="poller/slot.py",
        old="        idle = not (records or self._held or self._drain.started)\n",
        new="        idle = not (records or self._drain.started)\n",
        tests=(SCALING + "test_a_slot_that_gathers_is_not_superfluous",),
    ),
    Mutant(
        name="nobody polls while a slot waits for a destination",
        file="poller/slot.py",
        old="        if attempt is not None:\n            self._find_substitutes()\n",
        new="",
        tests=(CORNERS + "test_others_poll_while_a_filtered_message_waits_for_its_destination",),
    ),
    Mutant(
        name="a receive that is refused cuts the others short",
        file="poller/slot.py",
        old="            except MappingError as error:\n                errors.append(error)\n",
        new="            except ZeroDivisionError:\n",
        tests=(CORNERS + "test_no_receive_is_cut_short_because_another_is_refused_for_good",),
    ),
    Mutant(
        name="who has waited for the breaker takes the permit for granted",
        file="poller/breaking.py",
        old="            return False\n        if self._breaker.state",
        new="            return not drain.started\n        if self._breaker.state",
        tests=(CORNERS + "test_a_probe_is_received_only_with_a_free_permit",),
    ),
    Mutant(
        name="a drain hands messages back into its own open polls",
        file="poller/slot.py",
        old="max(ceil(release.delay), self._until_polls_end())",
        new="ceil(release.delay)",
        tests=(DRAIN + "test_what_goes_back_while_other_polls_are_open_is_not_taken_by_them_again",),
    ),
    Mutant(
        name="a group that goes back leaves its later messages in hand",
        file="poller/slot.py",
        old="            self._broken |= {record.group for record in release.records}\n",
        new="            pass\n",
        tests=(
            FIFO + "test_a_group_that_goes_back_takes_its_messages_in_later_batches_with_it",
            FIFO + "test_what_goes_back_of_a_group_takes_what_is_still_in_hand_of_it_along",
        ),
    ),
    Mutant(
        name="a group stays broken for as long as the slot has anything in hand",
        file="poller/slot.py",
        old="            self._broken &= {record.group for record in self._held.values()}\n",
        new="            self._broken &= self._broken if self._held else set()\n",
        tests=(FIFO + "test_a_broken_group_is_whole_again_once_nothing_of_it_is_in_hand",),
    ),
    Mutant(
        name="what is cut off by a drain stays hidden",
        file="poller/queue.py",
        old="            await hand_all_back(queue)\n        raise\n",
        new="            pass\n        raise\n",
        tests=(DRAIN + "test_what_is_cut_off_after_a_drain_goes_back_in_haste_and_what_is_done_is_deleted",),
    ),
    Mutant(
        name="a window does not lengthen the time",
        file="poller/queue.py",
        old="    if window > 0 and window + timeout > seconds:\n",
        new="    if window < 0:\n",
        tests=(
            QUEUE + "test_messages_are_hidden_for_the_queues_own_time_or_long_enough_for_window_and_function",
            QUEUE + "test_receives_ask_for_that_time",
        ),
    ),
    Mutant(
        name="what the filter drops is not settled",
        file="poller/lane.py",
        old="        await carry_out(work.unwanted(tuple(unwanted)), lane, work, drain)\n",
        new="        del lane\n",
        tests=(
            "tests/shell/test_lane_filters.py::test_what_is_not_wanted_is_settled_before_the_rest_is_invoked",
            "tests/shell/test_lane_filters.py::test_a_streams_checkpoint_passes_what_is_not_wanted",
        ),
    ),
    Mutant(
        name="what is lost is invoked",
        file="poller/lane.py",
        old="        alive, decision = set_apart(attempt, gone) if gone else work.policy",
        new="        alive, decision = work.policy",
        tests=(
            "tests/shell/test_lane_lost.py::test_what_is_lost_is_released_unseen_and_the_rest_goes_on_under_another_request_id",
            SLOT + "test_what_may_be_somebody_elses_by_now_is_not_invoked_and_comes_again",
        ),
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS[::4], ids=str)
def test_a_planted_bug_turns_its_tests_red(mutant: Mutant, tmp_path: Path) -> None:
    assert bites(mutant, tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_each_planted_bug_turns_its_tests_red(mutant: Mutant, tmp_path: Path) -> None:
    assert bites(mutant, tmp_path)


@pytest.mark.thorough
def test_without_a_bug_the_same_tests_are_green(tmp_path: Path) -> None:
    tests = sorted({test for mutant in MUTANTS for test in mutant.tests})
    assert healthy(tests, tmp_path)


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_each_bug_can_still_be_planted(mutant: Mutant, tmp_path: Path) -> None:
    """Quick, so that a change of the source that leaves a mutant behind is noticed at once."""
    mutant.plant(copied(tmp_path))
