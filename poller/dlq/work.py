"""All that `poller dlq` does, at one desk. Looking changes nothing but receive counts; all else is counted as it goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from poller.dlq import feeding, moving, purging, tasks
from poller.dlq.desk import Tally
from poller.dlq.hands import ENTRIES
from poller.dlq.reading import Course, reading
from poller.dlq.wish import Selection, Wish

if TYPE_CHECKING:
    from collections.abc import Callable

    from poller.dlq.desk import Desk
    from poller.dlq.feeding import Feed
    from poller.dlq.letters import Letter
    from poller.dlq.reading import Reading
    from poller.dlq.wish import Route, WhyNot

SIDE_BY_SIDE: Final = 4
"""Receives at the same time, where a whole queue is looked through."""


@dataclass(slots=True, kw_only=True)
class Look:
    """What was seen.

    Attributes:
        letters: those that are meant.
        about: messages that the queue said it had, in sight or not, when the look began.
    """

    tally: Tally = field(default_factory=Tally)
    letters: list[Letter] = field(default_factory=list)
    about: int = 0


async def look(desk: Desk, wish: Wish, why_not: Callable[[Letter], WhyNot | None] = lambda _: None) -> Look:
    """The messages that are meant. They stay where they are, and can be received again when this returns."""
    found = Look()
    async with reading(desk, _course(wish, width=_width(wish))) as course:
        selection = Selection(course, wish, why_not, found.tally)
        while letters := await selection.more(desk.queue_arn):
            found.letters += letters
        found.about = course.at_first.visible + course.at_first.in_flight + course.at_first.delayed
        _count_unseen(found.tally, course)
    return found


async def survey(desk: Desk, wish: Wish, why_not: Callable[[Letter], WhyNot | None]) -> Tally:
    """What would be done: it is counted, and left alone."""
    return (await look(desk, wish, why_not)).tally


async def survey_purge(desk: Desk, wish: Wish) -> Tally:
    """What a purge would delete; where that is everything SQS is asked, and nothing is received."""
    if wish.pattern is not None or wish.limit is not None:
        return await survey(desk, wish, lambda _: None)
    found = await desk.persist(lambda: desk.api.describe_queue(desk.queue_arn))
    return Tally(meant=found.visible + found.in_flight + found.delayed)


async def find(desk: Desk, id_: str, *, force: bool) -> Letter | None:
    """The message of this id, if it is to be seen."""
    async with reading(desk, Course(width=SIDE_BY_SIDE, force=force)) as course:
        while letters := await course.more():
            for letter in letters:
                if letter.id == id_:
                    return letter
    return None


async def redrive(desk: Desk, wish: Wish, route: Route, tally: Tally) -> None:
    """Back to a queue: by SQS itself where it can do just that, else ten at a time."""
    to = await tasks.destination(desk, wish, route)
    if to is not None and await tasks.move(desk, to, wish.rate, tally):
        return
    async with reading(desk, _course(wish, patient=True)) as course:
        await moving.move(desk, course, wish, route, tally)
        _count_unseen(tally, course)


async def through(desk: Desk, wish: Wish, to: Feed, tally: Tally) -> None:
    """Straight through the function, whose executor is entered."""
    async with reading(desk, _course(wish, patient=True)) as course:
        await feeding.feed(desk, course, wish, to, tally)
        _count_unseen(tally, course)


async def purge(desk: Desk, wish: Wish, tally: Tally) -> None:
    """Deletes what is meant: all at once, or one by one."""
    if wish.pattern is None and wish.limit is None:
        await purging.purge(desk, tally)
        return
    async with reading(desk, _course(wish, patient=True)) as course:
        await purging.delete(desk, course, wish, tally)
        _count_unseen(tally, course)


def _course(wish: Wish, *, width: int = 1, patient: bool = False) -> Course:
    """Of a slow course little is received at a time: what waits for its turn is nobody else's to see."""
    least = min(each for each in (ENTRIES, wish.rate, wish.limit) if each is not None)
    size = ENTRIES if wish.pattern is not None else max(1, int(least))
    return Course(size=size, width=width, patient=patient, force=wish.force)


def _width(wish: Wish) -> int:
    few = wish.limit is not None and wish.pattern is None and wish.limit <= SIDE_BY_SIDE * ENTRIES
    return 1 if few else SIDE_BY_SIDE


def _count_unseen(tally: Tally, course: Reading) -> None:
    """What a pass that came to its end could not see, about."""
    if course.elsewhere:
        tally.left["is in somebody's hands at this moment"] += course.elsewhere
    if course.behind:
        tally.left["is behind others of its group: SQS shows the first ten or so of each"] += course.behind
