"""One lane, worked off by one process after the other: what each finds is what was durable when the one before it ended."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from poller.core.memo import NO_MEMO
from poller.lane import run_lane
from support.doubles import ListLane
from support.stage import Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from poller.core.batching import BatchLimits
    from poller.core.memo import Memo
    from poller.core.model import Answer, Record
    from poller.core.policy import Policy
    from poller.drain import Drain
    from support.doubles import Call


class Written(NamedTuple):
    """What a checkpoint says: how many records are settled, and what the lane remembers."""

    settled: int = 0
    memo: Memo = NO_MEMO


class KeptLane(ListLane):
    """A `ListLane` whose checkpoint is written at every change, once whoever changes it waits for something.

    Attributes:
        written: every checkpoint, in order; the first is what the last holder left.
    """

    def __init__(self, drain: Drain, journal: list[tuple[str, tuple[str, ...]]], left: Written) -> None:
        super().__init__(drain, journal)
        self.memos = [left.memo]
        self.written = [left]
        self._settled = left.settled

    async def settle(self, records: Sequence[Record]) -> None:
        """See `Lane.settle`."""
        await super().settle(records)
        self._settled += len(records)
        self._write_soon()

    def remember(self, memo: Memo) -> None:
        """See `Lane.remember`."""
        super().remember(memo)
        self._write_soon()

    def _write_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        if (state := Written(self._settled, self.memo)) != self.written[-1]:
            self.written.append(state)


@dataclass(kw_only=True)
class Lives:
    """Processes that work off the same records, each for a while.

    Attributes:
        records: all of the lane, in order.
        function: what it answers, in every life.
        scenes: one for each life.
        left: what each life left.
        in_flight: the ids of the invocation that each life was cut off in, if it was in one.
        documents: of each that was sent, the first and the last record, and its count of invocations.
    """

    records: Sequence[Record]
    function: Callable[[Call], Answer]
    policy: Policy
    limits: BatchLimits
    partial_answers: bool = False
    seconds: float = 1.0
    scenes: list[Scene] = field(default_factory=list)
    left: list[Written] = field(default_factory=lambda: [Written()])
    in_flight: list[tuple[str, ...]] = field(default_factory=list)
    documents: list[tuple[str, str, int]] = field(default_factory=list)

    async def live(self, until: float | None = None, *, drain: bool = False, lost_writes: int = 0, behind: int = 0) -> None:
        """One life: to the end of the records, or until it is killed, or told to stop, so many seconds after it began.

        The last `lost_writes` of its checkpoints never reached the store. Another lane of the shard holds them back: of what is
        settled the last `behind` records come again.
        """
        scene = Scene(
            self.function, seconds=self.seconds, policy=self.policy, limits=self.limits, partial_answers=self.partial_answers
        )
        lane = scene.lane = KeptLane(scene.drain, scene.journal, self.left[-1])
        lane.put(self.records[self.left[-1].settled :], end=True)
        self.scenes.append(scene)
        task = asyncio.create_task(run_lane(lane, scene.work, scene.drain))
        await asyncio.wait((task,), timeout=until)
        if drain:
            scene.drain.start()
            await task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0)
        cut_off = [call for call in scene.stage.executor.calls if call.cancelled]
        self.in_flight.append(tuple(str(record["n"]) for call in cut_off for record in call.records))
        self.documents += [told(document) for document in scene.documents]
        left = lane.written[max(0, len(lane.written) - 1 - lost_writes)]
        self.left.append(left._replace(settled=max(self.left[-1].settled, left.settled - behind)))

    @property
    def invoked(self) -> list[list[tuple[str, ...]]]:
        """Of each life the ids of its invocations, the one that was cut off too."""
        return [
            [tuple(str(record["n"]) for record in call.records) for call in scene.stage.executor.calls] for scene in self.scenes
        ]

    @property
    def invocations(self) -> int:
        """Of all lives."""
        return sum(len(each) for each in self.invoked)


def told(document: dict[str, dict[str, object]]) -> tuple[str, str, int]:
    """What a document is about, and its count of invocations."""
    of, about = document["requestContext"], document["KinesisBatchInfo"]
    return str(about["startSequenceNumber"]), str(about["endSequenceNumber"]), int(str(of["approximateInvokeCount"]))
