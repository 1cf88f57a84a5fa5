"""Known bugs of what reads queues, planted again: each must break a promise within the seeds that every change meets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support.sim.bugs import Bug, broken
from support.teeth import copied

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class QueueBug(Bug):
    queues: bool = True


QUICK = [
    QueueBug(
        name="what failed is deleted",
        file="poller/core/queue_policy.py",
        old="return self._split(attempt, outcome, frozenset(record.id for record in attempt.records))",
        new="return Decision(settle=attempt.records)",
        seeds="3,7",
    ),
    QueueBug(
        name="a group is not kept together",
        file="poller/core/queue_policy.py",
        old="(self.guard or record.id in failed)",
        new="record.id in failed",
        seeds="11,12",
    ),
]
"""A sample for every run; the others take their time."""

BUGS = [
    QueueBug(
        name="deleted before the invocation",
        file="poller/lane.py",
        old="            decision = await invoke(attempt, work)\n",
        new="            await lane.settle(attempt.records)\n            decision = await invoke(attempt, work)\n",
        seeds="0,1",
    ),
    QueueBug(
        name="nothing is kept hidden",
        file="poller/visibility.py",
        old="            await self._extend(self._due())\n",
        new="            self._due()\n",
        seeds="1,2",
    ),
    QueueBug(
        name="the heartbeat counts from the answer",
        file="poller/visibility.py",
        old="if index not in failed], asked_at + seconds)",
        new="if index not in failed], self._clock.monotonic() + seconds)",
        seeds="327,371",
    ),
    QueueBug(
        name="a receive counts from its answer",
        file="poller/slot.py",
        old="            visibility.hold(records, asked_at)\n",
        new="            visibility.hold(records, work.clock.monotonic())\n",
        seeds="156,372",
    ),
    QueueBug(
        name="a receive may wait for longer than it hides",
        file="poller/slot.py",
        old="self._queue.visibility.seconds * POLL_PART)",
        new="20)",
        seeds="2,19",
    ),
    QueueBug(
        name="an entry of a delete that failed counts as done",
        file="poller/deleter.py",
        old="return not failure.gone and self._visibility.ours(record)",
        new="return False",
        seeds="1,3",
    ),
    QueueBug(
        name="what is done leaves the heartbeat before it is deleted",
        file="poller/deleter.py",
        old="        self._waiting.extend(records)\n        self._pending |=",
        new="        self._visibility.drop(records)\n        self._waiting.extend(records)\n        self._pending |=",
        seeds="1,2",
    ),
    QueueBug(
        name="what may be somebody else's is invoked",
        file="poller/slot.py",
        old="        return tuple(gone)\n",
        new="        return ()\n",
        seeds="9,1",
    ),
    QueueBug(
        name="a later message goes on where an earlier one of its group was lost",
        file="poller/slot.py",
        old="            if record.group in broken or not ours(record):\n",
        new="            if not ours(record):\n",
        seeds="1",
    ),
    QueueBug(
        name="a drain forgets to hand back",
        file="poller/slot.py",
        old="        if release.delay is None:\n",
        new="        if release.delay is None or self._drain.started:\n",
        seeds="7,2",
    ),
    QueueBug(
        name="a drain hands back what its own receives get again",
        file="poller/slot.py",
        old="        return int(max(polls.values()) - self._queue.work.clock.monotonic()) + 1\n",
        new="        return 0\n",
        seeds="2,10",
    ),
    QueueBug(
        name="a drain out of patience leaves everything as it is",
        file="poller/queue.py",
        old="            await hand_all_back(queue)\n        raise\n",
        new="            pass\n        raise\n",
        seeds="7,26",
    ),
    QueueBug(
        name="a drain cuts a receive short",
        file="poller/slot.py",
        old="                records = await self._poll(number, limit, longest)\n",
        new="                poll = __import__('asyncio').ensure_future(self._poll(number, limit, longest))\n"
        "                if not await self._drain.wait(poll):\n"
        "                    poll.cancel()\n"
        "                    return ()\n"
        "                records = poll.result()\n",
        seeds="1,2",
    ),
    QueueBug(
        name="receives do not ask for a permit",
        file="poller/slot.py",
        old="if not await work.function.permits.free(",
        new="if False and await work.function.permits.free(",
        seeds="2,5",
    ),
    QueueBug(
        name="a slot too many",
        file="poller/core/scaling.py",
        old="self._limits.batches - self.slots))",
        new="self._limits.batches + 1 - self.slots))",
        seeds="1,3",
    ),
    QueueBug(
        name="a message is given up before its report has arrived",
        file="poller/lane.py",
        old="        taken = taken and await delivered(",
        new="        await lane.settle(discard.records)\n        taken = taken and await delivered(",
        seeds="2,3",
    ),
    QueueBug(
        name="messages are deleted though the destination did not take them",
        file="poller/lane.py",
        old="await (lane.settle(discard.records) if taken else hand_back(discard.records, lane, work))",
        new="await (lane.settle(discard.records) if work else taken)",
        seeds="2,41",
    ),
    QueueBug(
        name="one delivery too many",
        file="poller/core/queue_policy.py",
        old="record.receives >= self.max_receives",
        new="record.receives > self.max_receives",
        seeds="2,3",
    ),
    QueueBug(
        name="a mapping gives up beside the queue's own policy",
        file="poller/compose.py",
        old="config.maximum_receive_count if redriven_after is None else None",
        new="config.maximum_receive_count",
        seeds="3,4",
    ),
    QueueBug(
        name="nobody would run it, and that counts as a failure",
        file="poller/core/queue_policy.py",
        old="            case Refused():\n                return refused(attempt, outcome)\n",
        new="            case Refused():\n"
        "                return self._split(attempt, outcome, frozenset(record.id for record in attempt.records))\n",
        seeds="2,3",
    ),
    QueueBug(
        name="what failed comes back at once",
        file="poller/slot.py",
        old="max(ceil(release.delay), self._until_polls_end())",
        new="0",
        seeds="2,6",
    ),
    QueueBug(
        name="what the filter keeps out is not deleted",
        file="poller/lane.py",
        old="        await carry_out(work.unwanted(tuple(unwanted)), lane, work, drain)\n",
        new="",
        seeds="6,1",
    ),
    QueueBug(
        name="the filter lets everything through",
        file="poller/lane.py",
        old="(wanted if wants(record) else unwanted).append(record)",
        new="wanted.append(record)",
        seeds="0,1",
    ),
    QueueBug(
        name="an empty queue is asked again without a pause",
        file="poller/slot.py",
        old="            await self._pause(began, left)\n",
        new="            pass\n",
        seeds="5,7",
    ),
    QueueBug(
        name="a receive asks for more than fits",
        file="poller/slot.py",
        old="await self._receive(0, min(limit, ENTRIES), longest)",
        new="await self._receive(0, ENTRIES, longest)",
        seeds="1,3",
    ),
    QueueBug(
        name="polls that find nothing go on for ever",
        file="poller/core/scaling.py",
        old="        return self.polling > self._limits.first\n",
        new="        return False\n",
        seeds="26,42",
    ),
    QueueBug(
        name="who is done with a batch polls whatever others do",
        file="poller/core/scaling.py",
        old="        return self.polling >= self._limits.polls\n",
        new="        return False\n",
        seeds="8,11",
    ),
    QueueBug(
        name="failures open no breaker",
        file="poller/core/breaker.py",
        old="        if self._too_many_in_a_row() or self._too_many_of_the_last():\n",
        new="        if self._too_many_of_the_last():\n",
        seeds="2,6",
    ),
    QueueBug(
        name="an error rate opens no breaker",
        file="poller/core/breaker.py",
        old="        if self._too_many_in_a_row() or self._too_many_of_the_last():\n",
        new="        if self._too_many_in_a_row():\n",
        seeds="1,26",
    ),
    QueueBug(
        name="an open breaker lets everybody try",
        file="poller/core/breaker.py",
        old='                return float("inf")\n',
        new="                return 0.0\n",
        seeds="2,6",
    ),
    QueueBug(
        name="a breaker lets one try at once",
        file="poller/core/breaker.py",
        old="self._opened_at + self._limits.probe_interval - now)",
        new="self._opened_at - now)",
        seeds="1,2",
    ),
    QueueBug(
        name="any batch closes the breaker",
        file="poller/core/breaker.py",
        old="        elif probe:\n",
        new="        else:\n",
        seeds="6,26",
    ),
    QueueBug(
        name="a failed trial closes the breaker",
        file="poller/core/breaker.py",
        old="        elif probe and failed:\n            self._open(now)\n",
        new="        elif probe and failed:\n            self._close()\n",
        seeds="26,48",
    ),
    QueueBug(
        name="who has waited for the breaker takes the permit for granted",
        file="poller/breaking.py",
        old="            return False\n        if self._breaker.state",
        new="            while self._breaker.patience(self._clock.monotonic()) > 0 and not drain.started:\n"
        "                await self._wait(0.1, drain)\n"
        "        if self._breaker.state",
        seeds="2,6",
    ),
    QueueBug(
        name="what the filter should give back is deleted",
        file="poller/core/unwanted.py",
        old="            return Decision(release=policy.releases(records))\n",
        new="            return settled(records)\n",
        seeds="7,8",
    ),
    QueueBug(
        name="what the filter should report is deleted unseen",
        file="poller/core/unwanted.py",
        old="            return Decision(discard=tuple(_filtered(record) for record in records))\n",
        new="            return settled(records)\n",
        seeds="1,14",
    ),
]


@pytest.mark.parametrize("bug", QUICK, ids=str)
def test_a_planted_bug_breaks_a_promise(bug: QueueBug, tmp_path: Path) -> None:
    assert "Again, in full" in broken(bug, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS[::3], ids=str)
def test_one_bug_in_three_breaks_a_promise(bug: QueueBug, tmp_path: Path) -> None:
    assert "Again, in full" in broken(bug, tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_each_planted_bug_breaks_a_promise(bug: QueueBug, tmp_path: Path) -> None:
    assert "Again, in full" in broken(bug, tmp_path)


@pytest.mark.parametrize("bug", [*QUICK, *BUGS], ids=str)
def test_each_bug_can_still_be_planted(bug: QueueBug, tmp_path: Path) -> None:
    """Quick, so that a change of the source that leaves a bug behind is noticed at once."""
    bug.plant(copied(tmp_path))
