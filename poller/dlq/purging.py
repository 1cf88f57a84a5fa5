"""Away with messages: some of them, one by one, or all that is in the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.dlq.desk import finished
from poller.dlq.hands import tens
from poller.dlq.pace import Pace
from poller.dlq.wish import Selection

if TYPE_CHECKING:
    from poller.dlq.desk import Desk, Tally
    from poller.dlq.reading import Reading
    from poller.dlq.wish import Wish


async def delete(desk: Desk, reading: Reading, wish: Wish, tally: Tally) -> None:
    """Deletes what is meant. `tally` is true at every moment."""
    selection, pace = Selection(reading, wish, lambda _: None, tally), Pace(wish.rate, desk.clock)
    while letters := await selection.more(desk.queue_arn):
        for some in tens(letters):
            await pace.take(len(some))
            left = await finished(reading.hands.delete(some))
            tally.done += len(some) - len(left)
            if left:
                tally.left["could not be deleted"] += len(left)


async def purge(desk: Desk, tally: Tally) -> None:
    """Everything, what is in flight too: PurgeQueue. How many these are only SQS knows, and only about."""
    found = await desk.persist(lambda: desk.api.describe_queue(desk.queue_arn))
    await desk.persist(lambda: desk.api.purge_queue(desk.queue_arn))
    tally.meant = tally.done = found.visible + found.in_flight + found.delayed
