"""A lane with tumbling windows: the other loop over the same core.

    lane.read -> runs of one window each -> batcher.add -> step, with the window's state -> state remembered, records settled
                  | a later window begins, the shard ends, or the time is over               | the state is too large
                  +------------------> step without records: the final invocation <----------+

The lane's memo is the truth: the open window, and the state that the function returned last. It becomes durable in one write with
what is settled, so that after a crash the function sees again exactly the records that its state does not hold.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from poller.core.batching import Batcher
from poller.core.memo import Window
from poller.core.model import Batch, Decision
from poller.core.windows import SKEW, fitting
from poller.lane import run_lane, steady, step, work_off

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.core.model import Attempt, Record, Slice
    from poller.core.splits import OpenBatch
    from poller.core.windows import Tumbling
    from poller.drain import Drain
    from poller.lane import Work
    from poller.observe.windows import WindowEnd
    from poller.ports import Lane

LOOK = 0.5
"""Seconds between two looks whether a window that should be over is: only a read of the shard can say so."""

LONG_LOOK = 5.0
"""Seconds between two looks at an open window, at the most: a wall clock that was wrong may be put right meanwhile."""


async def run_shard_lane(lane: Lane, work: Work, drain: Drain) -> None:
    """The loop that the work asks for, until the lane ends or the drain starts."""
    if work.tumbling is None:
        drop_window(lane, work)
        await run_lane(lane, work, drain)
    else:
        await run_tumbling_lane(lane, work, drain, work.tumbling)


def drop_window(lane: Lane, work: Work) -> None:
    """The mapping had windows, and has none any more: its function no longer knows what to do with one."""
    if (window := lane.memo.window) is not None:
        work.observe.window_dropped(window, work.place)
        lane.remember(replace(lane.memo, window=None))


async def run_tumbling_lane(lane: Lane, work: Work, drain: Drain, tumbling: Tumbling) -> None:
    """As `run_lane`; a window that is open at a drain stays open, and its state is kept."""
    windows = Windows(lane, work, drain, tumbling)
    await windows.resume()
    ended = False
    while not (ended or drain.started):
        piece = await windows.read()
        ended = piece.ended
        await windows.take(piece)
    await windows.leave("shard_end")


class Windows:
    """The windows of one lane, one after the other; batches never go beyond one."""

    def __init__(self, lane: Lane, work: Work, drain: Drain, tumbling: Tumbling) -> None:
        self._lane = lane
        self._work = work
        self._drain = drain
        self._tumbling = tumbling
        self._batcher = Batcher(work.limits, lane.memo.cuts)
        self._current = lane.memo.window
        """Where records go that come next; its state is as of when it began."""

    async def resume(self) -> None:
        """Begins; what the last holder had to close is closed first."""
        self._next_batch()
        if (window := self._lane.memo.window) is not None and window.early:
            await self._close("state_size")

    async def read(self) -> Slice:
        """The next records, or nothing when the open batch or the open window may be due."""
        now, skew = steady(self._work.clock)
        waits = [self._batcher.patience(now, skew)]
        if self._open and self._current is not None:
            waits.append(min(max(LOOK, self._current.end + SKEW - (now + skew)), LONG_LOOK))
        return await self._lane.read(self._batcher.room, min((wait for wait in waits if wait is not None), default=None))

    async def take(self, piece: Slice) -> None:
        """Gathers them into batches and works those off; closes the window where no more of it is to come."""
        for window, run in self._tumbling.runs(piece.records, self._current):
            if window is not self._current:
                await self.leave("later_record")
                self._current = window
                self._next_batch()
            await self._gather(run, piece)
        if not piece.records:  # what is held may be due
            await self._gather((), piece)
        if not piece.more and self._current is not None and piece.seen_until >= self._current.end:
            await self.leave("time")

    async def leave(self, why: WindowEnd) -> None:
        """No more of the current window is to come: what is held goes out, and the window is closed. Neither in a drain."""
        for batch in self._batcher.flush():
            await self._work_off(batch)
        await self._close(why)
        if not self._drain.started:
            self._current = None

    @property
    def _open(self) -> bool:
        """Whether there is something that has to be closed one day."""
        return self._lane.memo.window is not None or self._batcher.room < self._work.limits.count

    async def _gather(self, records: Sequence[Record], piece: Slice) -> None:
        now, skew = steady(self._work.clock)
        for batch in self._batcher.add(records, now, more=piece.more, full=piece.full, skew=skew):
            await self._work_off(batch)

    async def _work_off(self, batch: Batch) -> None:
        await work_off(batch, self._lane, self._work, self._drain, self._step)
        self._next_batch()

    def _next_batch(self) -> None:
        """The batching window of a stream opens when the last invocation is over; the state leaves it more or less room."""
        self._batcher.opened(self._work.clock.monotonic())
        if self._current is not None:
            self._batcher.overhead = self._tumbling.overhead(self._lane.memo.window or begun(self._current))

    async def _step(self, opened: OpenBatch, lane: Lane, work: Work, drain: Drain) -> Decision:
        """An attempt with the state as of now. Split before, where that leaves it too little room; this spends no retry."""
        window = lane.memo.window or self._begin(opened.attempts[0])
        attempt = opened.attempts[0] = replace(opened.attempts[0], window=window)
        if parts := fitting(attempt, self._tumbling.overhead(window), work.limits.event_bytes):
            return Decision(again=parts)
        decision = await step(opened, lane, work, drain)
        if lane.memo.window is not None and lane.memo.window.early:
            await self._close("state_size")
        return decision

    def _begin(self, attempt: Attempt) -> Window:
        """The window of this attempt is open from now on. One that was closed early goes on, without its state."""
        window = begun(self._current or self._tumbling.at(attempt.records[0]))
        self._lane.remember(replace(self._lane.memo, window=window))
        return window

    async def _close(self, why: WindowEnd) -> None:
        """Invokes the function without records until it has closed the window, or that is given up, or a drain starts."""

        async def final(opened: OpenBatch, lane: Lane, work: Work, drain: Drain) -> Decision:
            opened.attempts[0] = replace(opened.attempts[0], window=window)
            decision = await step(opened, lane, work, drain)
            if not (decision.again or (decision.discard and drain.started)):  # else it may not be reported: the next holder will
                lane.remember(replace(lane.memo, window=None))
                work.observe.window_closed(window, "given_up" if decision.discard else why, work.place)
            return decision

        if (last := self._lane.memo.window) is not None:
            window = replace(last, final=True)
            batch = Batch(records=(), trigger="end", later=self._lane.memo.cuts)
            await work_off(batch, self._lane, self._work, self._drain, final)
            self._next_batch()


def begun(window: Window) -> Window:
    """The same, with nothing in it."""
    return Window(start=window.start, end=window.end)
