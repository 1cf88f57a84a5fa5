"""What is known of messages: what was sent, who was handed it, and what has become of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import orjson

from support.sim.journal import Broken
from support.sim.queue_breaker import BreakerBook

if TYPE_CHECKING:
    from collections.abc import Iterable

    from poller.apis.memory_message import Stored
    from poller.services import SqsAttribute
    from support.sim.process import Process
    from support.sim.queue_scenario import QueueMappingPlan, Send
    from support.sim.scenario import FunctionPlan

Fate = Literal["open", "unwanted", "accepted", "failed", "spent"]
"""What has become of a delivery.

`open`: nothing that counts. `unwanted`: the filter keeps it out. `failed`: it has to go back to the queue. `spent`: it has to be
given up.
"""


@dataclass(eq=False, slots=True, kw_only=True)
class Message:
    """A message, and all that is known of it.

    Attributes:
        stored: as the service keeps it.
        place: its place among those of its queue.
        documented: how often it arrived where it is reported as given up.
        dropped: it was given up without a report, by right.
        prolonged: how often it was to be hidden for longer.
    """

    send: Send
    stored: Stored
    place: int
    deliveries: list[Delivery] = field(default_factory=list)
    accepted: bool = False
    documented: int = 0
    dropped: bool = False
    prolonged: int = 0

    @property
    def moved(self) -> bool:
        """The queue has given it up to its dead-letter queue."""
        return self.stored.source_arn is not None

    @property
    def body(self) -> str:
        """As it was sent."""
        return body(self.send)

    @property
    def given_up(self) -> bool:
        """It is nobody's turn any more, though no function accepted it."""
        return self.moved or bool(self.documented) or self.dropped or any(each.fate == "spent" for each in self.deliveries)

    def __str__(self) -> str:
        return f"{self.send.queue.name} {self.place}"


@dataclass(eq=False, slots=True, kw_only=True)
class Delivery:
    """One receive of a message.

    Attributes:
        receives: how often it was handed out, this time included.
        until: when the service may hand it out again, unless that changes.
        told: when the answer reached the process; None: it has not.
        let_go: the process has said, by its calls or by the rules, that it is done with it; `late`: in a drain.
        superseded: the service has handed it out again though it was hidden.
        deleting: the process has asked to delete it.
        confirmed: it knows that it is deleted.
        reported: the process knows that its report has arrived.
        misses: calls in a row that should have kept it hidden, and of which the process knows no success.
        unheard: calls to let it go of which the process knows no success.
        vague: a call about it may have an effect that nobody expects any more, or its slot failed.
        asked: seconds for which it was asked to be hidden when it was let go.
        wait: where it failed, seconds for which it has to be hidden; None: as long as its visibility lasts.
    """

    message: Message
    plan: QueueMappingPlan
    process: Process
    receipt: str
    receives: int
    at: float
    until: float
    told: float | None = None
    running: QueueCall | None = None
    fate: Fate = "open"
    invoked: bool = False
    let_go: bool = False
    late: bool = False
    superseded: bool = False
    deleting: bool = False
    confirmed: bool = False
    reported: bool = False
    misses: int = 0
    unheard: int = 0
    vague: bool = False
    asked: int = 0
    wait: int | None = None

    def __str__(self) -> str:
        return f"{self.message}x{self.receives}"

    @property
    def in_hand(self) -> bool:
        """The process has it, and must keep it from others."""
        return self.told is not None and not self.let_go and self.process.alive and not self.process.task.done()

    @property
    def excused(self) -> bool:
        """It may slip out of hand: what should keep it hidden failed, or the process stood still."""
        disturbed = self.process.freezer.frozen or self.process.frozen_at >= self.at
        return bool(self.misses) or self.vague or self.superseded or disturbed


@dataclass(eq=False, slots=True, kw_only=True)
class QueueCall:
    """One invocation of messages."""

    process: Process
    plan: QueueMappingPlan
    deliveries: list[Delivery]
    began: float

    @property
    def function(self) -> FunctionPlan:
        return self.plan.function

    def __str__(self) -> str:
        return f"{self.process.name} {self.plan.name} [{' '.join(str(each) for each in self.deliveries)}]"


@dataclass(slots=True, kw_only=True)
class QueueTally:
    """What one process did for one mapping, as its metrics have to say.

    Attributes:
        receiving: its receives under way by number, and when each is over at the latest.
        began: when the queue was known.
        idle_since: when the last invocation was over, or the queue was known: no window opens before.
    """

    polls: Counter[str] = field(default_factory=Counter)
    polled: int = 0
    repeated: int = 0
    filtered: int = 0
    invoked: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    deleted: int = 0
    sent: int = 0
    dropped: int = 0
    receiving: dict[int, float] = field(default_factory=dict)
    began: float | None = None
    idle_since: float | None = None
    breaker: BreakerBook = field(default_factory=BreakerBook)


class QueueBooks:
    """All messages there ever were.

    Attributes:
        tallies: by process and mapping.
        requests: the receipts that went under each request id; `attempts`: the other way round.
    """

    def __init__(self) -> None:
        self.tallies: defaultdict[tuple[str, str], QueueTally] = defaultdict(QueueTally)
        self.requests: dict[str, tuple[str, ...]] = {}
        self.attempts: dict[tuple[str, ...], str] = {}
        self._messages: dict[str, Message] = {}
        self._numbers: dict[int, Message] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._queues: defaultdict[str, list[Message]] = defaultdict(list)

    def sent(self, send: Send, stored: Stored) -> Message:
        """The service has taken a message."""
        line = self._queues[send.queue.arn]
        message = Message(send=send, stored=stored, place=len(line))
        line.append(message)
        self._messages[stored.id] = self._numbers[send.number] = message
        return message

    def handed_out(self, delivery: Delivery) -> None:
        """The service has handed a message out."""
        self._deliveries[delivery.receipt] = delivery
        delivery.message.deliveries.append(delivery)

    def messages(self) -> list[Message]:
        """All of all queues."""
        return list(self._messages.values())

    def deliveries(self) -> Iterable[Delivery]:
        """All of all messages."""
        return self._deliveries.values()

    def message(self, id_: str) -> Message:
        """By its id at the service."""
        return self._messages[id_]

    def known(self, receipt: str) -> Delivery | None:
        """By its receipt handle."""
        return self._deliveries.get(receipt)

    def delivery(self, receipt: str) -> Delivery:
        """By its receipt handle."""
        if receipt not in self._deliveries:
            raise Broken(f"nobody was ever handed {receipt}")
        return self._deliveries[receipt]

    def told_of(self, text: str) -> Message:
        """The message with this body."""
        number = orjson.loads(text)["n"]
        if number not in self._numbers or self._numbers[number].body != text:
            raise Broken(f"nobody ever sent {text}")
        return self._numbers[number]

    def before(self, message: Message) -> list[Message]:
        """The earlier ones of its group."""
        line = self._queues[message.send.queue.arn]
        return [each for each in line[: message.place] if each.send.group == message.send.group]


def body(send: Send) -> str:
    """What is in a message."""
    return orjson.dumps({"n": send.number, "kind": "wanted" if send.wanted else "other"}).decode()


def attributes(send: Send) -> dict[str, SqsAttribute]:
    """What is on a message, as SQS spells it."""
    if not send.marked:
        return {}
    return {
        "number": {"DataType": "Number", "StringValue": str(send.number)},
        "mark": {"DataType": "Binary.mark", "BinaryValue": "AAEC"},
    }
