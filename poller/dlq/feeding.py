"""Straight through the function: what it does is deleted, what it fails stays in the dead-letter queue.

The function sees the messages as its mapping would hand them to it, under the ARN of the mapping's own queue. A failure document
of a stream holds no records, only where they are; where it has the event that was given up (`include_payload`) that is handed
over, a document at a time.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import orjson

from poller.core.envelope import FRAME_BYTES, MAX_EVENT_BYTES, SEPARATOR_BYTES, envelope
from poller.core.model import BEGINNING, Accepted, Attempt, Failed, Invocation, Partial, Record, Refused
from poller.core.queue_policy import FifoPolicy, QueuePolicy
from poller.core.response import read
from poller.dlq.desk import TRIES, CannotDo, finished
from poller.dlq.hands import tens
from poller.dlq.pace import Pace
from poller.dlq.wish import Selection, WhyNot
from poller.function import new_request_id
from poller.retry import transport_wait
from poller.sources.sqs import to_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from poller.core.model import Outcome
    from poller.dlq.desk import Desk, Tally
    from poller.dlq.hands import Hands
    from poller.dlq.letters import Letter
    from poller.dlq.reading import Reading
    from poller.dlq.wish import Wish
    from poller.ports import Executor
    from poller.sources.sqs import SqsShape

REASON_LENGTH: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A function, and how its mapping hands it messages.

    Attributes:
        executor: entered.
        arn: what the function is called.
        timeout: seconds.
        batch_size: messages of one invocation, at the most.
        reports: its answer names what failed.
        shape: what events say of the queue; None: the mapping reads a stream.
        guard: see `FifoPolicy.guard`.
    """

    executor: Executor
    arn: str
    timeout: float
    batch_size: int
    reports: bool
    shape: SqsShape | None
    guard: bool = True


def why_not(shape: SqsShape | None, letter: Letter) -> WhyNot | None:
    """Why a message cannot be handed over. `shape`: see `Feed.shape`."""
    if shape is not None:
        return None
    document = letter.document
    if document is None:
        return WhyNot("is no failure document of a stream")
    if document.payload is None:
        return WhyNot("holds no records, include_payload was off: `show` tells where they are in the stream")
    return None


async def feed(desk: Desk, reading: Reading, wish: Wish, to: Feed, tally: Tally) -> None:
    """Hands over what is meant. `tally` is true at every moment."""
    selection, feeder = Selection(reading, wish, partial(why_not, to.shape), tally), Feeder(desk, reading.hands, to, tally)
    pace = Pace(wish.rate, desk.clock)
    while letters := await _gathered(desk, selection, to):
        for batch in _batches(letters, to):
            await pace.take(len(batch))
            await feeder.invoke(batch)


async def _gathered(desk: Desk, selection: Selection, to: Feed) -> list[Letter]:
    """A batch or more; of a FIFO queue what one receive brings, since nothing comes behind it."""
    letters = await selection.more(desk.queue_arn)
    while letters and len(letters) < to.batch_size and not desk.fifo:
        some = await selection.more(desk.queue_arn)
        if not some:
            break
        letters += some
    return letters


def _batches(letters: Sequence[Letter], to: Feed) -> Iterator[list[tuple[Letter, Record]]]:
    """In order, each as large as an event may be; a document is a batch by itself."""
    most = 1 if to.shape is None else to.batch_size
    batch: list[tuple[Letter, Record]] = []
    size = FRAME_BYTES
    for letter in letters:
        record = _record(letter, to)
        grown = len(record.payload) + SEPARATOR_BYTES
        if batch and (len(batch) == most or size + grown > MAX_EVENT_BYTES):
            yield batch
            batch, size = [], FRAME_BYTES
        batch.append((letter, record))
        size += grown
    if batch:
        yield batch


def _record(letter: Letter, to: Feed) -> Record:
    if to.shape is not None:
        return to_record(letter.raw, to.shape, letter.sent_at)
    document = letter.document
    payload = (document and document.payload) or ""
    return Record(id=letter.id, position=BEGINNING, arrived_at=letter.sent_at, payload=payload.encode(), receipt=letter.receipt)


class Feeder:
    """Invokes, and deletes what is done."""

    def __init__(self, desk: Desk, hands: Hands, to: Feed, tally: Tally) -> None:
        self._desk = desk
        self._hands = hands
        self._to = to
        self._tally = tally
        self._stopped: set[str] = set()

    async def invoke(self, batch: Sequence[tuple[Letter, Record]]) -> None:
        """One batch. A cancellation ends the function; its messages stay."""
        batch = self._in_order(batch)
        if not batch:
            return
        letters = {letter.id: letter for letter, _ in batch}
        attempt = Attempt(records=tuple(record for _, record in batch))
        if self._to.shape is None:
            event = attempt.records[0].payload
            outcome = await self._outcome(event, _of_stream(event) or attempt)
        else:
            outcome = await self._outcome(envelope(attempt.records), attempt)
        await finished(self._settle(letters, attempt, outcome))

    def _in_order(self, batch: Sequence[tuple[Letter, Record]]) -> list[tuple[Letter, Record]]:
        """What may go: nothing of a group that has failed."""
        going = [(letter, record) for letter, record in batch if not letter.group or letter.group not in self._stopped]
        if len(going) < len(batch):
            self._tally.left["is behind a message of its group that failed"] += len(batch) - len(going)
        return going

    async def _outcome(self, event: bytes, attempt: Attempt) -> Outcome:
        """What became of it; where nobody would run it, it is tried again a few times. Raises `CannotDo` after the last."""
        failures = 0
        while isinstance(outcome := await self._asked(event, attempt), Refused):
            failures += 1
            if failures == TRIES:
                raise CannotDo(f"the function cannot be asked: {outcome.detail or outcome.reason}")
            await asyncio.sleep(outcome.retry_after or transport_wait(failures, self._desk.rng))
        return outcome

    async def _asked(self, event: bytes, attempt: Attempt) -> Outcome:
        answer = await self._to.executor.invoke(self._invocation(event))
        return read(answer, attempt, report_batch_item_failures=self._to.reports)

    def _invocation(self, event: bytes) -> Invocation:
        deadline = self._desk.clock.time() + self._to.timeout
        return Invocation(request_id=new_request_id(self._desk.rng), event=event, deadline=deadline, arn=self._to.arn)

    async def _settle(self, letters: dict[str, Letter], attempt: Attempt, outcome: Outcome) -> None:
        if self._to.shape is None and isinstance(outcome, Partial):  # a document is done as a whole or not at all
            outcome = Failed("batch_item", f"it reported {len(outcome.failed)} records")
        policy = FifoPolicy(guard=self._to.guard) if self._desk.fifo else QueuePolicy()
        decision = policy.judge(attempt, outcome)
        done = [letters[record.id] for record in decision.settle]
        back = [record for release in decision.release for record in release.records]
        if back:
            self._tally.left[_why(outcome)] += len(back)
            self._stopped |= {record.group for record in back if record.group} if self._desk.fifo else set()
        for some in tens(done):
            left = await self._hands.delete(some)
            self._tally.done += len(some)
            self._tally.twice |= left


def _of_stream(event: bytes) -> Attempt | None:
    """The records of an event of a stream, by the names under which a function reports them."""
    try:
        names = [_name(record) for record in orjson.loads(event)["Records"]]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return Attempt(records=tuple([Record(id=name, position=BEGINNING, arrived_at=0.0, payload=b"") for name in names]))


def _name(record: dict[str, dict[str, object]]) -> str:
    """Raises `KeyError` and `TypeError` for what is no record of a stream."""
    return str(record["dynamodb"]["SequenceNumber"] if "dynamodb" in record else record["kinesis"]["sequenceNumber"])


def _why(outcome: Outcome) -> str:
    match outcome:
        case Partial() | Accepted():
            return "was reported by the function"
        case Failed():
            return f"failed in the function ({outcome.error[:REASON_LENGTH] or outcome.kind})"
        case Refused():
            return f"was refused ({outcome.detail or outcome.reason})"
