"""The actions of `poller dlq`: each does its work at a desk, and says what came of it."""

from __future__ import annotations

import json
import signal
import sys
from argparse import ArgumentTypeError as Wrong
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from poller import interrupt
from poller.cli.exits import EX_OK, SIGNALLED
from poller.dlq import shown, work
from poller.dlq.asked import shape_of
from poller.dlq.audit import Deed, audited
from poller.dlq.desk import CannotDo, Tally
from poller.dlq.feeding import why_not
from poller.dlq.place import NotFound
from poller.dlq.wish import Route
from poller.errors import MappingError, Unavailable
from poller.iam import ACTIONS
from poller.observe import logs

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator

    from poller.dlq.asked import Asked
    from poller.dlq.desk import Desk
    from poller.dlq.letters import Letter
    from poller.dlq.place import Place
    from poller.dlq.wish import Wish

T = TypeVar("T")

EX_STAYED: Final = 1
EX_NOT_DONE: Final = 3


# --------------------------------------------------------------------------------------------------------------------- looking


def list_(arguments: argparse.Namespace, asked: Asked, wish: Wish) -> int:
    """What is in the queue."""
    _warn(asked, wish)

    async def job() -> tuple[Place, work.Look]:
        async with asked.desk() as (place, desk):
            return place, await work.look(desk, wish)

    found = _ran(asked, job())
    if isinstance(found, int):
        return found
    (place, look), now = found, asked.clock.time()
    documents = not place.source and any(letter.document is not None and not letter.source for letter in look.letters)
    if arguments.output == "json":
        told = [shown.as_json(letter, now, body=arguments.bodies, documents=documents) for letter in look.letters]
        print(json.dumps({"queue": place.queue_arn, "about": look.about, "messages": told}, indent=2, ensure_ascii=False))
    elif look.letters:
        print("\n".join(shown.table(look.letters, now, bodies=arguments.bodies, documents=documents)))
    for line in _notes(place, look):
        asked.say(line)
    return EX_OK


def _notes(place: Place, look: work.Look) -> Iterator[str]:
    name = place.queue_arn.rpartition(":")[2]
    yield f"{len(look.letters):,} shown of about {look.about:,} in {name}"
    yield from shown.stayed(look.tally)
    if place.note:
        yield place.note


def show(arguments: argparse.Namespace, asked: Asked, wish: Wish) -> int:
    """One message, all of it."""

    async def job() -> Letter | None:
        async with asked.desk() as (_, desk):
            return await work.find(desk, arguments.id, force=wish.force)

    letter = _ran(asked, job())
    if isinstance(letter, int):
        return letter
    if letter is None:
        asked.say(f"there is no message {arguments.id}, or somebody has it in hand")
        return EX_STAYED
    print(shown.everything(letter) if arguments.output == "json" else "\n".join(shown.whole(letter)))
    return EX_OK


# ----------------------------------------------------------------------------------------------------------------------- doing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """Something that changes queues.

    Attributes:
        to: what gets the messages; empty: nothing does.
        done: what is said of a message that is done: `redriven to orders`.
        survey: counts what would be done.
        do: does it.
    """

    action: Literal["redrive", "purge"]
    to: str
    done: str
    survey: Callable[[Place, Desk], Awaitable[Tally]]
    do: Callable[[Place, Desk, Tally], Awaitable[None]]


def redrive(arguments: argparse.Namespace, asked: Asked, wish: Wish) -> int:
    """Back to the source, to another queue, or through the function."""
    if arguments.to == "function":
        return _carried_out(arguments, asked, wish, _through(asked, wish))
    fixed = "" if arguments.to == "source" else arguments.to
    if fixed and not fixed.startswith("arn:"):
        raise Wrong(f"--to is source, function, or the ARN of a queue, not {fixed!r}")

    def route(place: Place) -> Route:
        return Route(queue_arn=place.queue_arn, fixed=fixed, source=place.source)

    task = _Work(
        action="redrive",
        to=fixed or "source",
        done=f"redriven to {fixed.rpartition(':')[2] or 'where they came from'}",
        survey=lambda place, desk: work.survey(desk, wish, route(place).why_not),
        do=lambda place, desk, tally: work.redrive(desk, wish, route(place), tally),
    )
    return _carried_out(arguments, asked, wish, task)


def _through(asked: Asked, wish: Wish) -> _Work:
    async def survey(place: Place, desk: Desk) -> Tally:
        return await work.survey(desk, wish, partial(why_not, shape_of(asked.mapping_of(place))))

    async def do(place: Place, desk: Desk, tally: Tally) -> None:
        async with asked.feed(place) as to:
            await work.through(desk, wish, to, tally)

    return _Work(action="redrive", to="function", done="done by the function", survey=survey, do=do)


def purge(arguments: argparse.Namespace, asked: Asked, wish: Wish) -> int:
    """Away with them."""
    task = _Work(
        action="purge",
        to="",
        done="deleted for good",
        survey=lambda _, desk: work.survey_purge(desk, wish),
        do=lambda _, desk, tally: work.purge(desk, wish, tally),
    )
    return _carried_out(arguments, asked, wish, task)


def _carried_out(arguments: argparse.Namespace, asked: Asked, wish: Wish, task: _Work) -> int:
    """What would be done, unless it is to be done without a question; then it."""
    _warn(asked, wish)
    if not arguments.yes:
        surveyed = _surveyed(asked, task)
        if isinstance(surveyed, int):
            return surveyed
        _print(arguments, {"would_do": surveyed.document()}, shown.plan(surveyed, task.done))
        if not surveyed.meant or not _agreed(asked.say):
            return EX_OK
    tally = Tally()
    code = _done(asked, wish, task, tally)
    _print(arguments, {"did": tally.document()}, shown.result(tally, task.done))
    return code or (EX_OK if tally.clean else EX_STAYED)


def _surveyed(asked: Asked, task: _Work) -> Tally | int:
    async def job() -> Tally:
        async with asked.desk() as (place, desk):
            if place.note:
                asked.say(place.note)
            return await task.survey(place, desk)

    return _ran(asked, job())


def _agreed(say: Callable[[str], None]) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        say("nothing was done: to do it, add --yes")
        return False
    say("Do it? Type yes: ")
    return sys.stdin.readline().strip().lower() == "yes"


def _done(asked: Asked, wish: Wish, task: _Work, tally: Tally) -> int:
    logs.configure("info")

    async def job() -> int:
        async with asked.desk() as (place, desk):
            with audited(Deed(action=task.action, queue=place.queue_arn, to=task.to, wish=wish), tally, asked.clock):
                await task.do(place, desk, tally)
        return EX_OK

    return _ran(asked, job())


# --------------------------------------------------------------------------------------------------------------------- running


def _ran(asked: Asked, job: Coroutine[Any, Any, T]) -> T | int:
    """Its result; the exit code where it has none."""
    try:
        result = interrupt.run(job)
    except NotFound as error:
        raise Wrong(str(error)) from None
    except (CannotDo, MappingError, Unavailable) as error:
        asked.say(f"poller dlq: error: {error}{_needed(error)}")
        return EX_NOT_DONE
    return SIGNALLED + result if isinstance(result, signal.Signals) else result


def _needed(error: Exception) -> str:
    """The action that was refused, if that is what has happened."""
    if isinstance(error, Unavailable) and error.kind == "auth" and error.operation in ACTIONS:
        return f"; it needs {ACTIONS[error.operation]}"
    return ""


def _warn(asked: Asked, wish: Wish) -> None:
    if wish.unknown:
        known = "patterns name body, attributes, messageAttributes, ..."
        asked.say(f"warning: no message has {', '.join(wish.unknown)}, so that the filter wants none: {known}")


def _print(arguments: argparse.Namespace, document: dict[str, object], lines: Iterable[str]) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False) if arguments.output == "json" else "\n".join(lines), flush=True)
