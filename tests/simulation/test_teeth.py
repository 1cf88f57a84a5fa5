"""Known bugs of the acting half, planted again: each must break a promise within the seeds that every change meets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.sim.bugs import Bug, broken
from support.teeth import copied

if TYPE_CHECKING:
    from pathlib import Path

QUICK = [
    Bug(
        name="the checkpoint before the invocation",
        file="poller/lane.py",
        old="            decision = await invoke(attempt, work)\n",
        new="            await lane.settle(attempt.records)\n            decision = await invoke(attempt, work)\n",
        seeds="0,1",
    ),
    Bug(
        name="the budget is not reset after a partial answer",
        file="poller/core/policy.py",
        old="rest = Attempt(records=attempt.records[first:])",
        new="rest = replace(attempt, records=attempt.records[first:], retries=attempt.retries + 1, request_id=None)",
        seeds="8,23",
    ),
    Bug(
        name="an expired iterator is resumed after the checkpoint",
        file="poller/sources/kinesis.py",
        old="        arn, api = self._source.shape.stream_arn, self._source.api\n",
        new="        self._last = self._start.position\n        arn, api = self._source.shape.stream_arn, self._source.api\n",
        seeds="2,4",
    ),
    Bug(
        name="age is not looked at",
        file="poller/core/policy.py",
        old="        if late == 0:\n",
        new="        if late >= 0:\n",
        seeds="5,15",
    ),
]
"""A sample for every run; the others take their time."""

BUGS = [
    Bug(
        name="the store has no fence",
        file="poller/stores/memory.py",
        old="stored is not None and (stored.owner, stored.epoch) == (lease.owner, lease.epoch)",
        new="stored is not None",
        seeds="36,24",
    ),
    Bug(
        name="the store lets a checkpoint go back",
        file="poller/stores/memory.py",
        old="            return False\n        self._write",
        new="            pass\n        self._write",
        seeds="36,14",
    ),
    Bug(
        name="a lease is not given back",
        file="poller/shard.py",
        old="await (store.finish(lease) if finished else store.release(lease))",
        new="await (store.finish(lease) if finished else asyncio.sleep(0))",
        seeds="0,1",
    ),
    Bug(
        name="a lease is given back before all is durable",
        file="poller/shard.py",
        old="            await checkpointer.flush()\n",
        new="",
        seeds="4,11",
    ),
    Bug(
        name="a window goes by the wall clock",
        file="poller/lane.py",
        old="    now = clock.monotonic()\n    return now, clock.time() - now",
        new="    now = clock.time()\n    return now, 0.0",
        seeds="0,1",
    ),
    Bug(
        name="a batch does not wait for its window",
        file="poller/core/batching.py",
        old='        if now >= self._opened_at + self._limits.window:\n            return "window"',
        new='        if now >= self._opened_at:\n            return "window"',
        seeds="0,1",
    ),
    Bug(
        name="one retry too many",
        file="poller/core/policy.py",
        old="attempt.retries >= self.max_retries:",
        new="attempt.retries > self.max_retries:",
        seeds="1,3",
    ),
    Bug(
        name="permits are not given back",
        file="poller/function.py",
        old="self._serve(self._ledger.give_back(ticket))",
        new="self._serve([])",
        seeds="0,4",
    ),
    Bug(
        name="a lease is trusted for ever",
        file="poller/shard.py",
        old="        self.until = asked_at + self._held.ttl * TRUST\n",
        new='        self.until = float("inf")\n',
        seeds="15,24",
    ),
    Bug(
        name="a process that stood still does not look at its lease",
        file="poller/lane.py",
        old="            return Decision(again=(attempt,))\n        work.still_ours()\n",
        new="            return Decision(again=(attempt,))\n",
        seeds="15,90",
    ),
    Bug(
        name="a shard is finished with records left",
        file="poller/shard.py",
        old="reading.ended and ahead.progress.drained and not drain.started",
        new="reading.ended",
        seeds="80,81",
    ),
    Bug(
        name="children do not wait for their parents",
        file="poller/core/shards.py",
        old="open_parents = {shard.id for shard in shards}.union(missing) - finished",
        new="open_parents = set()",
        seeds="4,11",
    ),
    Bug(
        name="a LATEST iterator of an enrolment that came too late",
        file="poller/mapping.py",
        old='exact = start.type != "LATEST" or self._boundaries_are_ours',
        new="exact = True",
        seeds="52,24",
    ),
    Bug(
        name="a shard whose cancellation crosses the loss of its lease lives on",
        file="poller/supervise.py",
        old="    if task is not None and task.cancelling():\n        raise asyncio.CancelledError\n",
        new="    del task\n",
        seeds="12,79",
    ),
    Bug(
        name="records are settled though the queue did not take their document",
        file="poller/lane.py",
        old='tries = DROP_TRIES if work.on_destination_error == "drop" else math.inf',
        new="tries = DROP_TRIES",
        seeds="19,58",
    ),
    Bug(
        name="records that are handed back are settled",
        file="poller/lane.py",
        old="    await lane.release(Release(records=records))",
        new="    await lane.settle(records)",
        seeds="7,23",
    ),
    Bug(
        name="the limit of the process does not count",
        file="poller/core/permits.py",
        old="self._unreserved = total - sum(reserved.values())",
        new="self._total = self._unreserved = 10**9",
        seeds="6,11",
    ),
    Bug(
        name="functions use what others reserve",
        file="poller/core/permits.py",
        old="return function in self._reserved or self._shared < self._unreserved",
        new="return True",
        seeds="1,22,64",
    ),
    Bug(
        name="what is not durable has no bound",
        file="poller/checkpointer.py",
        old="while self._pending >= MAX_PENDING:",
        new="while False:",
        seeds="5,8",
    ),
    Bug(
        name="a shard is read on without a bound",
        file="poller/readahead.py",
        old="return len(self._unsettled) >= self._limits.records or self._bytes",
        new="return self._bytes",
        seeds="9,10",
    ),
    Bug(
        name="each mapping reads at a pace of its own",
        file="poller/sources/pace.py",
        old="at = max(now, self._next.get((stream_arn, shard), 0.0))",
        new="at = now",
        seeds="1,3",
    ),
    Bug(
        name="what a page repeats is worked off again",
        file="poller/sources/kinesis.py",
        old="records = tuple(read if not read or read[0].position > self._last else",
        new="records = tuple(read if True else",
        seeds="0,6",
    ),
    Bug(
        name="iterator age is that of the newest record",
        file="poller/readahead.py",
        old="return self._unsettled[0].arrived_at",
        new="return self._unsettled[-1].arrived_at",
        seeds="1,2",
    ),
]


@pytest.mark.parametrize("bug", QUICK, ids=str)
def test_a_planted_bug_breaks_a_promise(bug: Bug, tmp_path: Path) -> None:
    assert "Again, in full" in broken(bug, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS[::3], ids=str)
def test_one_bug_in_three_breaks_a_promise(bug: Bug, tmp_path: Path) -> None:
    assert "Again, in full" in broken(bug, tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_each_planted_bug_breaks_a_promise(bug: Bug, tmp_path: Path) -> None:
    assert "Again, in full" in broken(bug, tmp_path)


@pytest.mark.parametrize("bug", [*QUICK, *BUGS], ids=str)
def test_each_bug_can_still_be_planted(bug: Bug, tmp_path: Path) -> None:
    """Quick, so that a change of the source that leaves a bug behind is noticed at once."""
    bug.plant(copied(tmp_path))
