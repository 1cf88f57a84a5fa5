"""What becomes of the messages of a queue: before they are invoked, and once the function has answered.

A failed message is nobody's turn to retry but the queue's: it goes back, and comes again with a higher receive count. Only where
nobody would run the function the same batch is tried again.

Source: AWS Lambda developer guide, "Using Lambda with Amazon SQS" and "Handling errors for an SQS event source"; that throttling
retries the leased batch, from recordings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, assert_never

from poller.core.model import (
    NOTHING,
    Accepted,
    Attempt,
    Decision,
    Discard,
    Failed,
    Outcome,
    Partial,
    Refused,
    Release,
    without,
)
from poller.core.policy import backoff, refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from poller.core.model import Record

ReleaseMode = Literal["backoff", "at_once", "lapse"]
"""When a failed message may be received again.

`backoff`: after a wait that doubles with its receive count. `at_once`. `lapse`: when its visibility time-out ends, as in Lambda.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePolicy:
    """A standard queue: every message for itself.

    Attributes:
        release: when a failed message may be received again.
        max_receives: deliveries after which a message that still fails is given up; None: the queue's own redrive policy sees to
            that, or nobody.
    """

    release: ReleaseMode = "backoff"
    max_receives: int | None = None

    def expire(self, attempt: Attempt, now: float) -> tuple[Attempt | None, Decision]:
        """Gives up messages that were handed out too often already, without anybody's verdict: whoever had them died of them."""
        del now
        if self.max_receives is None:
            return attempt, NOTHING
        spent = tuple(record for record in attempt.records if record.receives > self.max_receives)
        if not spent:
            return attempt, NOTHING
        rest = without(attempt, spent)
        return rest, Decision(discard=tuple(_exhausted(record, attempt, record.receives - 1, None) for record in spent))

    def judge(self, attempt: Attempt, outcome: Outcome) -> Decision:
        """Deletes what is done; what failed goes back to the queue, or is given up."""
        match outcome:
            case Accepted():
                return Decision(settle=attempt.records)
            case Refused():
                return refused(attempt, outcome)
            case Partial(failed):
                return self._split(attempt, outcome, failed)
            case Failed():
                return self._split(attempt, outcome, frozenset(record.id for record in attempt.records))
        assert_never(outcome)

    def _split(self, attempt: Attempt, outcome: Outcome, failed: frozenset[str]) -> Decision:
        bad = [record for record in attempt.records if record.id in failed]
        given_up = [record for record in bad if self.spent(record)]
        return Decision(
            settle=tuple(record for record in attempt.records if record.id not in failed),
            discard=tuple(_exhausted(record, attempt, record.receives, outcome) for record in given_up),
            release=self.releases(record for record in bad if not self.spent(record)),
        )

    def spent(self, record: Record) -> bool:
        """Whether a message that failed once more is given up."""
        return self.max_receives is not None and record.receives >= self.max_receives

    def releases(self, records: Iterable[Record]) -> tuple[Release, ...]:
        """Back to the queue, together as far as their delays are the same."""
        by_delay: dict[float | None, list[Record]] = {}
        for record in records:
            by_delay.setdefault(self.delay(record), []).append(record)
        return tuple(Release(records=tuple(some), delay=delay) for delay, some in by_delay.items())

    def delay(self, record: Record) -> float | None:
        """Seconds until a failed message may be received again."""
        match self.release:
            case "backoff":
                return backoff(record.receives)
            case "at_once":
                return 0.0
            case "lapse":
                return None
        assert_never(self.release)


@dataclass(frozen=True, slots=True, kw_only=True)
class FifoPolicy:
    """A FIFO queue: the messages of a group in their order.

    Attributes:
        each: the rules for each message.
        guard: after a failed message the later ones of its group go back, also those that the function does not report: it may
            have stopped there. Without it they are deleted, as Lambda does it, and the group's order is lost.
    """

    each: QueuePolicy = field(default_factory=QueuePolicy)
    guard: bool = True

    def expire(self, attempt: Attempt, now: float) -> tuple[Attempt | None, Decision]:
        """See `QueuePolicy.expire`."""
        return self.each.expire(attempt, now)

    def judge(self, attempt: Attempt, outcome: Outcome) -> Decision:
        """As for a standard queue, group by group: from the first message that goes back on all of its group go back."""
        if isinstance(outcome, Accepted | Refused):
            return self.each.judge(attempt, outcome)
        failed = outcome.failed if isinstance(outcome, Partial) else frozenset(record.id for record in attempt.records)
        settle: list[Record] = []
        discard: list[Discard] = []
        back: dict[str, list[Record]] = {}
        stopped: set[str] = set()
        for record in attempt.records:
            if record.group in stopped and (self.guard or record.id in failed):
                back.setdefault(record.group, []).append(record)
            elif record.id not in failed:
                settle.append(record)
            else:
                stopped.add(record.group)
                if self.each.spent(record):
                    discard.append(_exhausted(record, attempt, record.receives, outcome))
                else:
                    back[record.group] = [record]
        return Decision(settle=tuple(settle), discard=tuple(discard), release=self._releases(back.values()))

    def _releases(self, groups: Iterable[list[Record]]) -> tuple[Release, ...]:
        """A group waits as its first message has to, so that no later one comes before it."""
        return tuple(Release(records=tuple(group), delay=self.each.delay(group[0])) for group in groups)


def _exhausted(record: Record, attempt: Attempt, invoke_count: int, outcome: Outcome | None) -> Discard:
    """Each for itself: so that a destination that takes one and not the next never gets the first one twice."""
    return Discard(
        records=(record,),
        reason="RetryAttemptsExhausted",
        attempt=attempt,
        invoke_count=invoke_count,
        outcome=outcome,
    )
