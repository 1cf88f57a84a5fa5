"""Which messages of a dead-letter queue a command is about, and where they are to go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from poller.core.filters import SQS, compile_filter
from poller.sources.sqs import SqsShape, to_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from poller.core.filters import Filter
    from poller.dlq.desk import Tally
    from poller.dlq.letters import Letter
    from poller.dlq.reading import Reading

SAMPLES: Final = 5


class WhyNot(NamedTuple):
    """Why a message stays where it is: the end of a sentence that begins with it."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for.

    Attributes:
        pattern: an event pattern, as in a mapping's filter; None: every message. Raises `InvalidPattern` where it is none.
        limit: messages, at the most; None: all.
        rate: messages a second, at the most; None: as fast as it goes.
        force: see `Course.force`.
    """

    pattern: str | None = None
    limit: int | None = None
    rate: float | None = None
    force: bool = False
    _filter: Filter = field(init=False)

    def __post_init__(self) -> None:
        patterns = () if self.pattern is None else (self.pattern,)
        object.__setattr__(self, "_filter", compile_filter(patterns, SQS))

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names that the pattern uses and no message has: most likely a mistake."""
        return self._filter.unknown

    def wants(self, letter: Letter, queue_arn: str) -> bool:
        """Whether the pattern wants it."""
        if self.pattern is None:
            return True
        shape = SqsShape(queue_arn=queue_arn, region=queue_arn.split(":")[3])
        return self._filter.wants(to_record(letter.raw, shape, letter.sent_at))


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Which queue a message goes back to.

    Attributes:
        queue_arn: the dead-letter queue itself.
        fixed: a queue for all messages; empty: each to where it came from.
        source: the mapping's queue; empty: the queue was not named by a mapping, or that reads a stream.
    """

    queue_arn: str
    fixed: str = ""
    source: str = ""

    def of(self, letter: Letter) -> str | WhyNot:
        """The queue's ARN."""
        target = self.fixed or letter.source or self.source
        if not target:
            return WhyNot(_unknown(letter))
        if not self.fixed and self.source and target != self.source:
            return WhyNot(f"came from another queue, {_name(target)}")
        if target == self.queue_arn:
            return WhyNot("would go to where it is")
        if target.endswith(".fifo") and not letter.group:
            return WhyNot("has no message group, and a FIFO queue takes none without")
        return target

    def why_not(self, letter: Letter) -> WhyNot | None:
        """Why it cannot go."""
        target = self.of(letter)
        return target if isinstance(target, WhyNot) else None


def _unknown(letter: Letter) -> str:
    if letter.document is not None:
        return "tells of a stream's records, which cannot be put back: see --to function"
    return "does not say which queue it came from: give it with --to ARN"


def _name(arn: str) -> str:
    return arn.rpartition(":")[2]


class Selection:
    """The messages of a pass that are meant, as they come; it counts them and the others."""

    def __init__(self, reading: Reading, wish: Wish, why_not: Callable[[Letter], WhyNot | None], tally: Tally) -> None:
        self._reading = reading
        self._wish = wish
        self._why_not = why_not
        self._tally = tally

    @property
    def _left(self) -> int | None:
        return None if self._wish.limit is None else self._wish.limit - self._tally.meant

    async def more(self, queue_arn: str) -> list[Letter]:
        """Those that come next. Empty: there are no more, or as many as were asked for."""
        while self._left is None or self._left > 0:
            letters = await self._reading.more()
            if not letters:
                break
            if meant := [letter for letter in letters if self._is_meant(letter, queue_arn)]:
                return meant
        return []

    def _is_meant(self, letter: Letter, queue_arn: str) -> bool:
        tally = self._tally
        if self._left is not None and self._left <= 0:
            return False
        tally.seen += 1
        if not self._wish.wants(letter, queue_arn):
            tally.unwanted += 1
            return False
        if (why := self._why_not(letter)) is not None:
            tally.left[why.reason] += 1
            return False
        tally.meant += 1
        if len(tally.samples) < SAMPLES:
            tally.samples.append(letter.id)
        return True
