"""Known bugs of lanes, splits, windows and reshards, planted again: each must break a promise within two hundred seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support.sim.bugs import Bug, broken
from support.teeth import copied

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class ShardBug(Bug):
    among: int = 200


QUICK = [
    ShardBug(
        name="the checkpoint passes an open record of another lane",
        file="poller/core/progress.py",
        old="            if not settled:\n                break\n",
        new="            if not settled:\n                continue\n",
        seeds="2,4",
    ),
    ShardBug(
        name="the state is not durable with the position",
        file="poller/lane.py",
        old="        lane.remember(moved_on(lane.memo, decision.state))\n"
        "    if decision.settle:\n        await lane.settle(decision.settle)\n",
        new="        await lane.settle(decision.settle)\n        await asyncio.sleep(0.05)\n"
        "        lane.remember(moved_on(lane.memo, decision.state))\n"
        "    elif decision.settle:\n        await lane.settle(decision.settle)\n",
        seeds="3,4",
    ),
    ShardBug(
        name="one lane that is stuck keeps the others from being read for",
        file="poller/readahead.py",
        old="return any(lane.queued < self._limits.soon for lane in self.lanes)",
        new="return all(lane.queued < self._limits.soon for lane in self.lanes)",
        seeds="9,62",
    ),
    ShardBug(
        name="a lane that dies leaves its records open, and the others go on",
        file="poller/lane.py",
        old="    work.judged(attempt, outcome)\n",
        new='    if getattr(outcome, "kind", "") == "crash":\n        raise asyncio.CancelledError\n'
        "    work.judged(attempt, outcome)\n",
        seeds="5,39",
    ),
    ShardBug(
        name="the state is lost with its process",
        file="poller/core/extra.py",
        old="state=state.encode()",
        new='state=b"{}"',
        seeds="4,14",
    ),
]
"""A sample for every run; the others take their time."""

BUGS = [
    ShardBug(
        name="a key is in two lanes",
        file="poller/readahead.py",
        old="hands[lane_of(record.group, count)].append(record)",
        new="hands[lane_of(record.id, count)].append(record)",
        seeds="2,4",
    ),
    ShardBug(
        name="a child waits for one of its parents",
        file="poller/core/shards.py",
        old="open_parents.isdisjoint(shard.parents)",
        new="open_parents.isdisjoint(shard.parents[:1])",
        seeds="4,19",
    ),
    ShardBug(
        name="a new holder puts together again what was split",
        file="poller/core/batching.py",
        old="        self._cuts = cuts\n",
        new="        self._cuts = ()\n",
        seeds="5,23",
    ),
    ShardBug(
        name="a split is not stored",
        file="poller/core/extra.py",
        old="    if memo.cuts:\n",
        new="    if not memo:\n",
        seeds="5,8",
    ),
    ShardBug(
        name="a part of a batch has not failed before",
        file="poller/core/batching.py",
        old="            return cut.retries\n",
        new="            return 0\n",
        seeds="36,38",
    ),
    ShardBug(
        name="the state of a failed attempt counts",
        file="poller/core/policy.py",
        old="            return self._failed(attempt, outcome, split_at=1)\n",
        new="            return replace(self._failed(attempt, outcome, split_at=1), state=outcome.state)\n",
        seeds="8,15",
    ),
    ShardBug(
        name="a window is closed twice",
        file="poller/tumbling.py",
        old="                lane.remember(replace(lane.memo, window=None))\n                work.observe",
        new="                work.observe",
        seeds="3,4",
    ),
    ShardBug(
        name="a window is never closed",
        file="poller/tumbling.py",
        old="        if (last := self._lane.memo.window) is not None:\n",
        new="        if (last := self._lane.memo.window) is not None and last.early:\n",
        seeds="0,3",
    ),
    ShardBug(
        name="a window is closed though its last invocation failed",
        file="poller/tumbling.py",
        old="            if not (decision.again or (decision.discard and drain.started)):",
        new="            decision = replace(decision, again=())\n            if not (decision.discard and drain.started):",
        seeds="4,12",
    ),
    ShardBug(
        name="records of the next window are in the batch",
        file="poller/core/windows.py",
        old="if window is None or record.arrived_at >= window.end:",
        new="if window is None or record.arrived_at >= window.end + 0.5:",
        seeds="3,4",
    ),
    ShardBug(
        name="a window is over while there are records left to read",
        file="poller/core/windows.py",
        old="return asked_at - SKEW if behind == 0 else None",
        new="return asked_at - SKEW",
        seeds="3,5",
    ),
    ShardBug(
        name="what was accepted is put together with the part of a batch behind it",
        file="poller/core/batching.py",
        old="before = (self._held or records)[0].position < cut.first",
        new="before = not cut.last",
        seeds="23,36",
    ),
]


@pytest.mark.parametrize("bug", QUICK, ids=str)
def test_a_planted_bug_breaks_a_promise(bug: ShardBug, tmp_path: Path) -> None:
    assert "Again, in full" in broken(bug, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS[::3], ids=str)
def test_one_bug_in_three_breaks_a_promise(bug: ShardBug, tmp_path: Path) -> None:
    assert "Again, in full" in broken(bug, tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_each_planted_bug_breaks_a_promise(bug: ShardBug, tmp_path: Path) -> None:
    assert "Again, in full" in broken(bug, tmp_path)


@pytest.mark.parametrize("bug", [*QUICK, *BUGS], ids=str)
def test_each_bug_can_still_be_planted(bug: ShardBug, tmp_path: Path) -> None:
    """Quick, so that a change of the source that leaves a bug behind is noticed at once."""
    bug.plant(copied(tmp_path))
