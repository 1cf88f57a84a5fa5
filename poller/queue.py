"""A queue mapping in this process: its poll slots, the heartbeat of what they hold, and the deletes of what is done.

A slot that fails starts again by itself; a crash in one never stops another.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

from poller.breaking import CircuitBreaker
from poller.core.scaling import PollerScale
from poller.deleter import Deleter
from poller.errors import PollerError
from poller.slot import OpenQueue, run_slot
from poller.supervise import supervise
from poller.visibility import ENTRIES, LONGEST, MOST_MESSAGES, Visibility

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from poller.core.breaker import BreakerLimits
    from poller.core.model import Record
    from poller.core.policy import Policy
    from poller.core.scaling import PollerLimits
    from poller.drain import Drain
    from poller.lane import Work
    from poller.ports import QueueDescription, QueueSource

SHORTEST_VISIBILITY = 5
"""Seconds for which a receive hides its messages at least, whatever the queue says: time for the heartbeat to come in."""

VISIBILITY_MARGIN = 30
"""Seconds beyond window and function that a receive hides its messages, where the queue's own time-out is too short for both."""

LOOK = 60.0
"""Seconds between looks at the depth of the queue."""

LAST_WORD = 1.0
"""Seconds that the queue gets to take messages back from a drain that has run out of patience."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueMapping:
    """One configured mapping of a queue.

    Attributes:
        scaling: how many poll slots there may be.
        in_flight: messages in hand at the same time, at the most.
        breaker: when receiving stops because batches fail; None: never.
        receive_wait: seconds of a long poll.
        fifo: the queue keeps the order of its groups.
        work: what is to be done with the messages; its `place` is made for each slot.
        policy_for: the policy, given the receives after which the queue itself gives a message up (None: never).
    """

    source: QueueSource
    scaling: PollerLimits
    receive_wait: int
    fifo: bool
    work: Work
    policy_for: Callable[[int | None], Policy]
    in_flight: int = MOST_MESSAGES
    breaker: BreakerLimits | None = None


class Crew:
    """The slots of a queue: it starts them, and gives each the lowest number that is free."""

    def __init__(self, tasks: asyncio.TaskGroup, drain: Drain) -> None:
        self._tasks = tasks
        self._drain = drain
        self._numbers: set[int] = set()

    def start(self, queue: OpenQueue, count: int) -> None:
        """So many more slots; none once the drain has started."""
        for _ in range(0 if self._drain.started else count):
            number = next(number for number in itertools.count() if number not in self._numbers)
            self._numbers.add(number)
            queue.scale.started()
            self._tasks.create_task(self._keep_polling(queue, number))
        queue.work.observe.pollers(queue.scale.slots, queue.visibility)

    async def _keep_polling(self, queue: OpenQueue, number: int) -> None:
        """One slot, started again when it fails, until it is superfluous or the drain is done."""
        place = str(number)
        ours = replace(queue, work=replace(queue.work, place=place, judged=partial(queue.breaker.judged, place)))
        try:
            await supervise(f"slot {number}", lambda: run_slot(ours, self._drain), ours.work, self._drain)
        finally:
            self._numbers.discard(number)
            queue.scale.ended()
            queue.work.observe.pollers(queue.scale.slots, queue.visibility)


async def run_queue(mapping: QueueMapping, drain: Drain) -> None:
    """Until the drain is done. Never raises for what the mapping or a slot runs into: it says so and tries again."""
    mapping.work.observe.state("Creating")
    await mapping.work.function.warm(drain)
    await supervise("mapping", lambda: run_slots(mapping, drain), mapping.work, drain)
    mapping.work.observe.state("Disabled")


async def run_slots(mapping: QueueMapping, drain: Drain) -> bool:
    """Until the drain is done (True): all slots side by side, and who looks after what they hold. Raises `SourceGone`."""
    description = await mapping.source.describe()
    queue = open_queue(mapping, description)
    observe = mapping.work.observe
    observe.queue(description)
    observe.state("Enabled")
    try:
        async with asyncio.TaskGroup() as together:
            jobs = (queue.visibility.run(), queue.deleter.run(), look(mapping, drain))
            helpers = [together.create_task(job) for job in jobs]
            async with asyncio.TaskGroup() as slots:
                crew = Crew(slots, drain)
                polled = replace(queue, start=lambda count: crew.start(polled, count))
                crew.start(polled, mapping.scaling.first)
            await queue.deleter.flush()
            if queue.visibility.held:  # of a slot that failed while it drained
                await hand_all_back(queue)
            for helper in helpers:
                helper.cancel()
    except asyncio.CancelledError:
        if drain.started:  # its patience is over, and nothing of the mapping runs any more: others need not wait
            await hand_all_back(queue)
        raise
    finally:
        observe.pollers(0)
    return True


def open_queue(mapping: QueueMapping, description: QueueDescription) -> OpenQueue:
    """The queue as it is now. Its own redrive policy goes before ours."""
    work = replace(mapping.work, policy=mapping.policy_for(description.maximum_receive_count))
    seconds = visibility_of(description, work.limits.window, work.function.timeout)
    visibility = Visibility(mapping.source, seconds, work.observe, work.clock, work.rng)
    visibility.most = mapping.in_flight
    return OpenQueue(
        source=mapping.source,
        visibility=visibility,
        deleter=Deleter(mapping.source, visibility, work.observe, work.rng),
        receive_wait=mapping.receive_wait,
        fifo=mapping.fifo,
        work=work,
        scale=PollerScale(mapping.scaling),
        breaker=CircuitBreaker(mapping.breaker, work.observe, work.clock),
    )


def visibility_of(description: QueueDescription, window: float, timeout: float) -> int:
    """Seconds for which a receive hides its messages: the queue's own time, or enough for window and function.

    Source: AWS Lambda developer guide: with a window, where window and function need longer than the queue's time-out, the time
    is window + function time-out + 30 s.
    """
    seconds = max(ceil(description.visibility_timeout), SHORTEST_VISIBILITY)
    if window > 0 and window + timeout > seconds:
        seconds = ceil(window + timeout) + VISIBILITY_MARGIN
    return min(seconds, int(LONGEST))


async def look(mapping: QueueMapping, drain: Drain) -> None:
    """Tells the depth of the queue now and then, until the drain; what cannot be asked is asked again next time."""
    while not drain.started:
        await drain.sleep(LOOK)
        if drain.started:
            return
        try:
            mapping.work.observe.queue(await mapping.source.describe())
        except PollerError as error:
            mapping.work.observe.failing("depth", error)


async def hand_all_back(queue: OpenQueue) -> None:
    """In haste: deletes what is done, and lets others have the rest at once."""
    done = queue.deleter.pending
    receipts = {record.receipt for record in done}
    rest = [record for record in queue.visibility.held if record.receipt not in receipts]
    queue.work.observe.returned(len(rest))
    with suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORD), asyncio.TaskGroup() as calls:
            for some in chunks(done):
                calls.create_task(tried(delete(some, queue)))
            for some in chunks(rest):
                calls.create_task(tried(queue.source.hide(some, 0)))


async def delete(records: list[Record], queue: OpenQueue) -> None:
    """One call, without another try."""
    failed = await queue.source.delete(records)
    queue.work.observe.deleted(len(records) - len(failed))


async def tried(call: Awaitable[object]) -> None:
    """A call whose failure changes nothing."""
    with suppress(PollerError):
        await call


def chunks(records: list[Record]) -> list[list[Record]]:
    """Ten at a time."""
    return [records[start : start + ENTRIES] for start in range(0, len(records), ENTRIES)]
