"""Has SQS itself move a dead-letter queue's messages back: a message move task, where the service has such a thing.

Source: Amazon SQS API reference, StartMessageMoveTask: all messages of the queue, which must be the dead-letter queue of others;
one task a queue; 500 messages a second at the most.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from poller.dlq.desk import CannotDo, finished
from poller.errors import SourceGone, Unavailable

if TYPE_CHECKING:
    from poller.dlq.desk import Desk, Tally
    from poller.dlq.wish import Route, Wish
    from poller.services import MoveTask

FASTEST: Final = 500
"""Messages a second."""

LOOK: Final = 1.0
REMIND: Final = 30.0
"""Seconds between two looks at a task, and between two lines about it."""


async def destination(desk: Desk, wish: Wish, route: Route) -> str | None:
    """Where a task would move everything, as was asked for; None: a task cannot do it. What is said then says why."""
    if wish.pattern is not None or wish.limit is not None:
        return None
    if wish.rate is not None and (wish.rate != int(wish.rate) or wish.rate > FASTEST):
        return None
    try:
        sources = await desk.persist(lambda: desk.api.dead_letter_sources(desk.queue_arn))
    except Unavailable as error:
        if error.kind not in {"other", "auth"}:
            raise
        desk.say(f"SQS does not say whose dead-letter queue this is ({error}): moving the messages here, ten at a time")
        return None
    if route.fixed:
        return route.fixed if sources else None
    wanted = (route.source,) if route.source else sources[:1]
    return sources[0] if len(sources) == 1 and sources == wanted else None


async def move(desk: Desk, to: str, rate: float | None, tally: Tally) -> bool:
    """Whether SQS has moved everything. False: this service has no such tasks, or we are not allowed to; nothing has happened.

    A task that runs already is watched. Ctrl-C cancels it: what was moved stays moved.
    """
    try:
        handle = await _start(desk, to, rate)
    except (Unavailable, SourceGone) as error:
        if isinstance(error, Unavailable) and error.kind not in {"other", "auth"}:
            raise
        desk.say(f"SQS does not move them itself ({error}): moving the messages here, ten at a time")
        return False
    try:
        await _watch(desk, tally)
    except asyncio.CancelledError:
        await finished(desk.api.cancel_move(desk.queue_arn, handle))
        raise
    return True


async def _start(desk: Desk, to: str, rate: float | None) -> str:
    """The handle of a new task, or of the one that runs."""
    running = [task for task in await desk.api.move_tasks(desk.queue_arn) if task.status == "RUNNING"]
    if running:
        desk.say(f"SQS is moving this queue's messages already, {running[0].moved} so far: watching that")
        return running[0].handle
    handle = await desk.api.start_move(desk.queue_arn, to, None if rate is None else int(rate))
    desk.say("SQS moves the messages itself; Ctrl-C cancels that")
    return handle


async def _watch(desk: Desk, tally: Tally) -> None:
    told = desk.clock.monotonic()
    while (task := await _look(desk)).status in {"RUNNING", "CANCELLING"}:
        tally.done, tally.meant = task.moved, task.in_all or task.moved
        if desk.clock.monotonic() - told >= REMIND:
            told = desk.clock.monotonic()
            desk.say(f"{task.moved} of about {task.in_all} moved")
        await asyncio.sleep(LOOK)
    tally.done, tally.meant = task.moved, task.in_all or task.moved
    if task.status != "COMPLETED":
        raise CannotDo(f"SQS has stopped moving, {task.status}: {task.reason or 'it does not say why'}; {task.moved} are moved")


async def _look(desk: Desk) -> MoveTask:
    tasks = await desk.persist(lambda: desk.api.move_tasks(desk.queue_arn))
    if not tasks:
        raise CannotDo("SQS does not know its own task any more")
    return tasks[0]
