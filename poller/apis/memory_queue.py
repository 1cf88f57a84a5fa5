"""One queue of SQS in memory: what is in it, who has it, and until when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Final

from poller.apis.memory_admission import Admission, QueueSettings
from poller.errors import Unavailable
from poller.ports import EntryFailure, QueueDescription

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from poller.apis.memory_message import Extras, Stored
    from poller.ports import Clock
    from poller.services import Receive, SqsAttribute, SqsMessage

LONGEST: Final = 43_200
"""Seconds for which a message can be hidden after its receive, in all."""

ATTEMPT_LIFE: Final = 300.0
"""Seconds for which a receive of a FIFO queue can be repeated under its attempt id."""

MOST: Final = 10
LONGEST_WAIT: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueBehaviour:
    """How the service behaves where SQS may do one thing or another. "Every so many" is counted by queue; 0: never.

    Attributes:
        in_flight: messages of a queue in flight at the same time, at the most.
        duplicate_every: every so many receives of a standard queue bring a message again that somebody has in hand.
        fewer_every: every so many receives bring half of what they could.
        fail_every: every so many entries of batch calls fail, although nothing is wrong with them.
    """

    in_flight: int = 120_000
    duplicate_every: int = 0
    fewer_every: int = 0
    fail_every: int = 0


LENIENT: Final = QueueBehaviour()


class MemoryQueue:
    """A queue. Its messages stay in the order in which they came, wherever they are; what is due is done before each call.

    `find` tells another queue by its ARN, for dead letters; None: there is none.
    """

    def __init__(
        self, settings: QueueSettings, clock: Clock, behaviour: QueueBehaviour, find: Callable[[str], MemoryQueue | None]
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._behaviour = behaviour
        self._find = find
        self._admission = Admission(settings, clock)
        self._messages: dict[str, Stored] = {}
        self._in_flight: dict[str, Stored] = {}
        self._due: list[tuple[float, int, Stored]] = []
        self._serial = count()
        self._attempts: dict[str, tuple[float, tuple[tuple[Stored, str], ...]]] = {}
        self._receives = 0
        self._entries = 0
        self._change: asyncio.Future[None] | None = None
        self._deleted = False

    # ---- what goes in, and what is there

    def send(self, body: str, attributes: Mapping[str, SqsAttribute], extras: Extras) -> str:
        """SendMessage. Returns the message's id; of a duplicate within 5 minutes, that of the first."""
        id_, stored = self._admission.admit(body, attributes, extras)
        if stored is not None:
            self._put(stored)
        return id_

    def take_over(self, stored: Stored) -> None:
        """A message that another queue gave up. It is as old as it was; in a FIFO queue its retention begins anew."""
        if self.settings.fifo:
            stored.enqueued_at = self._clock.monotonic()
        stored.visible_at = self._clock.monotonic()
        self._put(stored)

    def _put(self, stored: Stored) -> None:
        self._messages[stored.id] = stored
        stored.state = "visible" if stored.visible_at <= self._clock.monotonic() else "delayed"
        self._remind(stored, stored.enqueued_at + self.settings.retention)
        if stored.state == "delayed":
            self._remind(stored, stored.visible_at)
        self._changed()

    def messages(self) -> list[Stored]:
        """All of them, whoever has them, in the order in which they came."""
        self._catch_up()
        return list(self._messages.values())

    def describe(self) -> QueueDescription:
        """GetQueueAttributes."""
        states = [stored.state for stored in self.messages()]
        return QueueDescription(
            visibility_timeout=self.settings.visibility_timeout,
            retention=self.settings.retention,
            maximum_receive_count=None if self.settings.redrive is None else self.settings.redrive[1],
            dead_letters=None if self.settings.redrive is None else self.settings.redrive[0],
            visible=states.count("visible"),
            in_flight=states.count("in_flight"),
            delayed=states.count("delayed"),
        )

    def purge(self) -> None:
        """Takes all messages away, also those in flight."""
        for stored in list(self._messages.values()):
            self._remove(stored)

    def close(self) -> None:
        """The queue is deleted: whoever waits for messages waits no longer."""
        self.purge()
        self._deleted = True
        self._changed()

    # ---- receiving

    async def wait(self, receive: Receive) -> None:
        """Until this receive has something to tell, or its time is up. Takes nothing."""
        deadline = self._clock.monotonic() + receive.wait
        while _allowed(receive) and not (self._deleted or self._has_answer(receive)):
            if (left := deadline - self._clock.monotonic()) <= 0:
                break
            await self._changed_within(left)

    def receive(self, receive: Receive) -> list[SqsMessage]:
        """ReceiveMessage, at this instant."""
        _check("ReceiveMessage", self.settings.arn, _allowed(receive))
        self._catch_up()
        if again := self._repeated(receive):
            return self._hide_again(again, receive.visibility)
        if self._full():
            raise Unavailable("ReceiveMessage", "throttled", f"{self.settings.arn}: OverLimit")
        self._receives += 1
        chosen = self._misbehave(self._choose(min(receive.limit, self._room())), receive.limit)
        answer = [self._hand_out(stored, receive.visibility) for stored in chosen]
        if receive.attempt_id is not None and self.settings.fifo and chosen:
            handed_out = tuple([(stored, stored.receipt) for stored in chosen])
            self._attempts[receive.attempt_id] = self._clock.monotonic(), handed_out
        return answer

    def _has_answer(self, receive: Receive) -> bool:
        self._catch_up()
        return self._full() or bool(self._repeated(receive)) or bool(self._room() and self._choose(1))

    def _choose(self, limit: int) -> list[Stored]:
        """What a receive brings. What has been received too often is moved away as it is come across."""
        dead_letters = self._dead_letters()
        chosen: list[Stored] = []
        spent: list[Stored] = []
        for stored in self._candidates():
            if len(chosen) >= limit:
                break
            (spent if dead_letters is not None and self._is_spent(stored) else chosen).append(stored)
        for stored in spent:
            self._move(stored, dead_letters)
        return chosen

    def _candidates(self) -> Iterator[Stored]:
        """What can be received. In FIFO queues a group waits for what is in flight of it; of a group all are delayed alike."""
        locked = {stored.extras.group for stored in self._in_flight.values()} if self.settings.fifo else set()
        return (each for each in self._messages.values() if each.state == "visible" and each.extras.group not in locked)

    def _is_spent(self, stored: Stored) -> bool:
        return self.settings.redrive is not None and stored.receives >= self.settings.redrive[1]

    def _dead_letters(self) -> MemoryQueue | None:
        """Where messages go that were received too often; while there is no such queue, they stay."""
        return None if self.settings.redrive is None else self._find(self.settings.redrive[0])

    def _move(self, stored: Stored, to: MemoryQueue | None) -> None:
        if to is not None:
            self._remove(stored)
            stored.source_arn = self.settings.arn
            to.take_over(stored)

    def _misbehave(self, chosen: list[Stored], limit: int) -> list[Stored]:
        if _is_turn(self._receives, self._behaviour.fewer_every):
            chosen = chosen[: -(-len(chosen) // 2)]
        if not self.settings.fifo and _is_turn(self._receives, self._behaviour.duplicate_every):
            again = [stored for stored in self._in_flight.values() if not self._is_spent(stored)][:1]
            chosen = [*again, *chosen][:limit]
        return chosen

    def _hand_out(self, stored: Stored, visibility: float) -> SqsMessage:
        stored.receives += 1
        stored.received_at = self._clock.monotonic()
        if stored.first_received_at is None:
            stored.first_received_at = self._clock.time()
        stored.receipt = f"{self.settings.arn}|{stored.id}|{stored.receives}"
        stored.touched = False
        stored.state = "in_flight"
        self._in_flight[stored.id] = stored
        self._hide(stored, visibility)
        return stored.answer()

    def _full(self) -> bool:
        """Whether a receive is refused: only standard queues say so."""
        return not self.settings.fifo and self._room() == 0

    def _room(self) -> int:
        return max(self._behaviour.in_flight - len(self._in_flight), 0)

    def _repeated(self, receive: Receive) -> list[Stored]:
        """What the same receive brought the first time, if it was not long ago and nothing happened to it since."""
        horizon = self._clock.monotonic() - ATTEMPT_LIFE
        while self._attempts and next(iter(self._attempts.values()))[0] <= horizon:
            del self._attempts[next(iter(self._attempts))]
        _, handed_out = self._attempts.get(receive.attempt_id or "", (0.0, ()))
        untouched = [s for s, receipt in handed_out if s.state == "in_flight" and s.receipt == receipt and not s.touched]
        return untouched if len(untouched) == len(handed_out) else []

    def _hide_again(self, again: Sequence[Stored], visibility: float) -> list[SqsMessage]:
        for stored in again:
            self._hide(stored, visibility)
        return [stored.answer() for stored in again]

    # ---- what becomes of messages that were received

    def delete(self, receipts: Sequence[str]) -> tuple[EntryFailure, ...]:
        """DeleteMessageBatch."""
        _check("DeleteMessageBatch", self.settings.arn, 1 <= len(receipts) <= MOST)
        return self._each(receipts, self._delete)

    def change_visibility(self, receipts: Sequence[str], seconds: int) -> tuple[EntryFailure, ...]:
        """ChangeMessageVisibilityBatch, all to the same time."""
        _check("ChangeMessageVisibilityBatch", self.settings.arn, 1 <= len(receipts) <= MOST)
        return self._each(receipts, lambda receipt: self._change_visibility(receipt, seconds))

    def _each(self, receipts: Sequence[str], do: Callable[[str], str | None]) -> tuple[EntryFailure, ...]:
        self._catch_up()
        failures: list[EntryFailure] = []
        for index, receipt in enumerate(receipts):
            self._entries += 1
            if _is_turn(self._entries, self._behaviour.fail_every):
                failures.append(EntryFailure(index, gone=False, detail="InternalError"))
            elif (code := do(receipt)) is not None:
                failures.append(EntryFailure(index, gone=True, detail=code))
        self._changed()
        return tuple(failures)

    def _delete(self, receipt: str) -> str | None:
        """A code where it fails. An outdated handle deletes nothing: standard queues do not say so, FIFO queues do."""
        if not self._issued(receipt):
            return "ReceiptHandleIsInvalid"
        stored = self._messages.get(receipt.split("|")[1])
        if stored is None:
            return None
        if self.settings.fifo and (stored.receipt != receipt or stored.state != "in_flight"):
            return "InvalidParameterValue"
        if stored.receipt == receipt:
            self._remove(stored)
        return None

    def _change_visibility(self, receipt: str, seconds: int) -> str | None:
        """A code where it fails: only for what is in flight, and within the 12 hours."""
        if not self._issued(receipt):
            return "ReceiptHandleIsInvalid"
        stored = self._messages.get(receipt.split("|")[1])
        if stored is None or stored.receipt != receipt or stored.state != "in_flight":
            return "InvalidParameterValue"
        if not 0 <= seconds <= stored.received_at + LONGEST - self._clock.monotonic():
            return "InvalidParameterValue"
        stored.touched = True
        self._hide(stored, seconds)
        return None

    def _issued(self, receipt: str) -> bool:
        parts = receipt.split("|")
        return len(parts) == 3 and parts[0] == self.settings.arn  # noqa: PLR2004 -- the parts of a handle, see `_hand_out`

    # ---- time

    def _hide(self, stored: Stored, seconds: float) -> None:
        stored.visible_at = self._clock.monotonic() + seconds
        self._remind(stored, stored.visible_at)

    def _remind(self, stored: Stored, at: float) -> None:
        heappush(self._due, (at, next(self._serial), stored))

    def _catch_up(self) -> None:
        """Does what is due by now: ends of retention, and messages that come into sight."""
        now = self._clock.monotonic()
        while self._due and self._due[0][0] <= now:
            stored = heappop(self._due)[2]
            if self._messages.get(stored.id) is not stored:
                continue
            if stored.enqueued_at + self.settings.retention <= now:
                self._remove(stored)
            elif stored.visible_at <= now:
                stored.state = "visible"
                self._in_flight.pop(stored.id, None)

    def _remove(self, stored: Stored) -> None:
        del self._messages[stored.id]
        self._in_flight.pop(stored.id, None)
        stored.state = "gone"

    def _changed(self) -> None:
        change, self._change = self._change, None
        if change is not None:
            change.set_result(None)

    async def _changed_within(self, seconds: float) -> None:
        """Until somebody does something, something is due, or so many seconds are over."""
        if self._change is None:
            self._change = asyncio.get_running_loop().create_future()
        if self._due:
            seconds = min(seconds, self._due[0][0] - self._clock.monotonic())
        await asyncio.wait([self._change], timeout=seconds)


def _is_turn(number: int, every: int) -> bool:
    return every > 0 and number % every == 0


def _allowed(receive: Receive) -> bool:
    return 1 <= receive.limit <= MOST and 0 <= receive.wait <= LONGEST_WAIT and 0 <= receive.visibility <= LONGEST


def _check(operation: str, arn: str, allowed: bool) -> None:  # noqa: FBT001 -- it is what is asked
    if not allowed:
        raise Unavailable(operation, "other", f"{arn}: InvalidParameterValue")
