"""Back to a queue: a message is sent first and deleted after, ten at a time, and never more than ten are between the two.

So whenever this is cut off, nothing is lost, and at most those ten are in both queues: a FIFO queue drops them when they are sent
again (their MessageDeduplicationId is kept), a standard queue has them twice.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from poller.dlq.desk import PASSING, finished
from poller.dlq.pace import Pace
from poller.dlq.wish import Selection, WhyNot
from poller.errors import Unavailable
from poller.ports import EntryFailure
from poller.retry import transport_wait

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from poller.dlq.desk import Desk, Tally
    from poller.dlq.hands import Hands
    from poller.dlq.letters import Letter
    from poller.dlq.reading import Reading
    from poller.dlq.wish import Route, Wish
    from poller.services import Outgoing

MOST: Final = 10
MOST_BYTES: Final = 1_048_576
"""Of one batch call. Source: Amazon SQS API reference, SendMessageBatch."""

TRIES: Final = 3
"""Of an entry that fails alone."""

BEHIND: Final = "is behind a message of its group that was not sent"


async def move(desk: Desk, reading: Reading, wish: Wish, route: Route, tally: Tally) -> None:
    """Moves what is meant. `tally` is true at every moment."""
    pace, mover = Pace(wish.rate, desk.clock), Mover(desk, reading.hands, tally)
    selection = Selection(reading, wish, lambda letter: mover.came_back(letter) or route.why_not(letter), tally)
    while letters := await selection.more(desk.queue_arn):
        for target, some in _runs(letters, route):
            await pace.take(len(some))
            await finished(mover.move(some, target))


def _runs(letters: Sequence[Letter], route: Route) -> Iterator[tuple[str, list[Letter]]]:
    """In order, each as many as one call takes."""
    run: list[Letter] = []
    last, size = "", 0
    for letter in letters:
        target = route.of(letter)
        if isinstance(target, WhyNot):
            continue
        if run and (target != last or len(run) == MOST or size + letter.size > MOST_BYTES):
            yield last, run
            run, size = [], 0
        run.append(letter)
        last, size = target, size + letter.size
    if run:
        yield last, run


class Mover:
    """Sends and deletes."""

    def __init__(self, desk: Desk, hands: Hands, tally: Tally) -> None:
        self._desk = desk
        self._hands = hands
        self._tally = tally
        self._stopped: set[str] = set()
        self._sent_as: set[str] = set()

    def came_back(self, letter: Letter) -> WhyNot | None:
        """Whether we sent it ourselves: else a queue whose consumer still fails would keep us busy for ever."""
        return WhyNot("was moved, has failed again, and came back") if letter.id in self._sent_as else None

    async def move(self, letters: Sequence[Letter], target: str) -> None:
        """Up to ten, which one call takes. Raises what the calls raise; then `tally.twice` has what was sent and not deleted."""
        letters = self._in_order(letters, target)
        if not letters:
            return
        outcomes = await self._send(target, [letter.onward(fifo=target.endswith(".fifo")) for letter in letters])
        sent = [letter for letter, outcome in zip(letters, outcomes, strict=True) if self._is_sent(letter, outcome, target)]
        if not sent:
            return
        ids = {letter.id for letter in sent}
        self._tally.twice |= ids
        left = await self._hands.delete(sent)
        self._tally.twice -= ids - left
        self._tally.done += len(sent)

    def _in_order(self, letters: Sequence[Letter], target: str) -> list[Letter]:
        if not target.endswith(".fifo"):
            return list(letters)
        behind = [letter for letter in letters if letter.group in self._stopped]
        if behind:
            self._tally.left[BEHIND] += len(behind)
        return [letter for letter in letters if letter.group not in self._stopped]

    def _is_sent(self, letter: Letter, outcome: str | EntryFailure, target: str) -> bool:
        """Whether the queue has it. A FIFO queue that took it for the message that it was has dropped it."""
        name = target.rpartition(":")[2]
        if isinstance(outcome, EntryFailure):
            why = f"was not taken by {name}: {outcome.detail}"
        elif outcome == letter.id:
            why = f"was dropped by {name} as a duplicate of itself: try again five minutes after it was sent there"
        else:
            self._sent_as.add(outcome)
            return True
        self._tally.left[why] += 1
        self._stopped.add(letter.group)
        return False

    # ------------------------------------------------------------------------------------------------------------------- sending

    async def _send(self, target: str, messages: Sequence[Outgoing]) -> list[str | EntryFailure]:
        """What became of each. Entries that failed for reasons that pass are sent again."""
        outcomes = list(await self._ask(target, messages))
        for failures in range(1, TRIES):
            again = [index for index, one in enumerate(outcomes) if isinstance(one, EntryFailure) and not one.gone]
            if not again:
                break
            await asyncio.sleep(transport_wait(failures, self._desk.rng))
            for index, outcome in zip(again, await self._ask(target, [messages[index] for index in again]), strict=True):
                outcomes[index] = outcome
        return outcomes

    async def _ask(self, target: str, messages: Sequence[Outgoing]) -> Sequence[str | EntryFailure]:
        """One call; each message alone where they are refused together."""

        def unanswered() -> None:
            self._tally.doubtful += 0 if target.endswith(".fifo") else len(messages)

        try:
            return await self._desk.persist(lambda: self._desk.api.send_messages(target, messages), unanswered=unanswered)
        except Unavailable as error:
            if error.kind in PASSING or error.kind == "auth":
                raise
            if len(messages) == 1:
                return [EntryFailure(0, gone=True, detail=str(error))]
            return [(await self._ask(target, [message]))[0] for message in messages]
