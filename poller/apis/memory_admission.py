"""What a queue of SQS in memory lets in: its settings, its checks of what is sent, and its memory of duplicates."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Final, Self
from uuid import UUID

from poller.apis.memory_message import Stored
from poller.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poller.apis.memory_message import Extras
    from poller.ports import Clock
    from poller.services import SqsAttribute

DEDUPLICATION: Final = 300.0
"""Seconds for which a FIFO queue remembers what was sent."""

FORBIDDEN: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no message may contain."""

FIRST_SEQUENCE: Final = 18_850_000_000_000_000_000
SEQUENCE_STEP: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """How a queue was made.

    Attributes:
        visibility_timeout: seconds, as are `retention` and `delay`.
        maximum_size: bytes of a message, attributes included.
        redrive: the ARN of the dead-letter queue, and how often a message is received before it goes there.
        deduplicate_content: equal bodies are duplicates, where the sender does not say what is one.
    """

    arn: str
    visibility_timeout: float = 30.0
    retention: float = 345_600.0
    delay: float = 0.0
    maximum_size: int = 1_048_576
    redrive: tuple[str, int] | None = None
    deduplicate_content: bool = False

    @property
    def fifo(self) -> bool:
        """Whether it keeps the order of its groups."""
        return self.arn.endswith(".fifo")

    @classmethod
    def of(cls, arn: str, attributes: Mapping[str, str]) -> Self:
        """From the attributes of CreateQueue, all strings. Raises ValueError for one that is not known here."""
        given = dict(attributes)
        fifo = given.pop("FifoQueue", "true" if arn.endswith(".fifo") else "false") == "true"
        if fifo is not arn.endswith(".fifo"):
            raise ValueError(f"{arn}: the names of FIFO queues, and of no others, end with .fifo")
        policy = given.pop("RedrivePolicy", "")
        made = cls(
            arn=arn,
            visibility_timeout=float(given.pop("VisibilityTimeout", "30")),
            retention=float(given.pop("MessageRetentionPeriod", "345600")),
            delay=float(given.pop("DelaySeconds", "0")),
            maximum_size=int(given.pop("MaximumMessageSize", "1048576")),
            redrive=_redrive(policy) if policy else None,
            deduplicate_content=given.pop("ContentBasedDeduplication", "false") == "true",
        )
        if given:
            raise ValueError(f"{arn}: {', '.join(given)} means nothing here")
        return made


def _redrive(policy: str) -> tuple[str, int]:
    fields = json.loads(policy)
    return str(fields["deadLetterTargetArn"]), int(fields["maxReceiveCount"])


class Admission:
    """Makes messages of what is sent to one queue."""

    def __init__(self, settings: QueueSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._numbers = count(1)
        self._remembered: dict[str, tuple[float, str]] = {}

    def admit(self, body: str, attributes: Mapping[str, SqsAttribute], extras: Extras) -> tuple[str, Stored | None]:
        """The id of the message, and the message; None for what a FIFO queue has let in not long ago.

        Raises `Unavailable`, kind `other`, for what SQS refuses.
        """
        self._check(body, attributes, extras)
        if not self._settings.fifo:
            return self._admitted(body, attributes, extras)
        key = extras.deduplication or hashlib.sha256(body.encode()).hexdigest()
        now = self._clock.monotonic()
        while self._remembered and next(iter(self._remembered.values()))[0] <= now - DEDUPLICATION:
            del self._remembered[next(iter(self._remembered))]
        if key in self._remembered:
            return self._remembered[key][1], None
        id_, stored = self._admitted(body, attributes, replace(extras, deduplication=key))
        self._remembered[key] = now, id_
        return id_, stored

    def _admitted(self, body: str, attributes: Mapping[str, SqsAttribute], extras: Extras) -> tuple[str, Stored]:
        number, now = next(self._numbers), self._clock.monotonic()
        stored = Stored(
            id=str(UUID(bytes=hashlib.md5(f"{self._settings.arn} {number}".encode(), usedforsecurity=False).digest(), version=4)),
            body=body,
            attributes={name: attribute.copy() for name, attribute in attributes.items()},
            extras=extras,
            sent_at=self._clock.time(),
            enqueued_at=now,
            sequence=str(FIRST_SEQUENCE + number * SEQUENCE_STEP) if self._settings.fifo else None,
            visible_at=now + (self._settings.delay if extras.delay is None or self._settings.fifo else extras.delay),
        )
        return stored.id, stored

    def _check(self, body: str, attributes: Mapping[str, SqsAttribute], extras: Extras) -> None:
        settings = self._settings
        if not body or (settings.fifo and not extras.group):
            raise self._refusal("MissingParameter")
        if FORBIDDEN.search(body):
            raise self._refusal("InvalidMessageContents")
        parts = [part for name, attribute in attributes.items() for part in (name, *map(str, attribute.values()))]
        if len(body.encode()) + sum([len(part.encode()) for part in parts]) > settings.maximum_size:
            raise self._refusal("InvalidParameterValue")
        if settings.fifo and (extras.delay or not (extras.deduplication or settings.deduplicate_content)):
            raise self._refusal("InvalidParameterValue")

    def _refusal(self, code: str) -> Unavailable:
        return Unavailable("SendMessage", "other", f"{self._settings.arn}: {code}")
