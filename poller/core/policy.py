"""What becomes of every record of an attempt: before it is invoked, and once the function has answered.

A policy is a value. Its two methods are pure, and the decisions that they return name each record of the attempt exactly once
(conservation; `tests/core/test_policy_properties.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol, assert_never

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
)

if TYPE_CHECKING:
    from poller.core.model import Record

FIRST_WAIT = 0.5
LONGEST_WAIT = 60.0

ANY_ENDING = "*"
"""At the end of an error type: whatever begins like this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long a failed attempt waits before it is tried again. The default is undocumented by Lambda, and fits recordings.

    Attributes:
        initial: seconds before the first retry.
        factor: by which each further wait is longer.
        maximum: seconds, at the most.
    """

    initial: float = FIRST_WAIT
    factor: float = 2.0
    maximum: float = LONGEST_WAIT

    def wait(self, failures: int) -> float:
        """Seconds before the next try after this many earlier failures."""
        return min(self.maximum, self.initial * self.factor ** min(failures, 30))


BACKOFF = Backoff()


class Policy(Protocol):
    """How a kind of source retries."""

    def expire(self, attempt: Attempt, now: float) -> tuple[Attempt | None, Decision]:
        """Before each invocation, the first one too: what is still to be invoked, and what has become too old for it."""

    def judge(self, attempt: Attempt, outcome: Outcome) -> Decision:
        """After an invocation: where each record of the attempt goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPolicy:
    """Order is sacred: nothing later may be settled while something earlier is open.

    Attributes:
        max_retries: MaximumRetryAttempts: the attempt is given up after this many retries have failed too; None: never.
        max_age: MaximumRecordAgeInSeconds since the record's arrival at the source; None: never too old.
        bisect: BisectBatchOnFunctionError: a failed attempt of several records is split, which spends no retry.
        backoff: between retries; refusals have a back-off of their own.
        non_retryable: error types of the function after which there is no retry; `*` at the end stands for any ending.
        on_exhausted: what becomes of an attempt without retries: it is given up, or it is tried for ever, at the longest wait.
    """

    max_retries: int | None = None
    max_age: float | None = None
    bisect: bool = False
    backoff: Backoff = field(default=BACKOFF)
    non_retryable: tuple[str, ...] = ()
    on_exhausted: Literal["discard", "block"] = "discard"

    def expire(self, attempt: Attempt, now: float) -> tuple[Attempt | None, Decision]:
        """Gives up the expired prefix; the younger rest goes on under a request id of its own, its failures still counted."""
        if self.max_age is None:
            return attempt, NOTHING
        late = _expired_prefix(attempt.records, now - self.max_age)
        if late == 0:
            return attempt, NOTHING
        gone = Discard(
            records=attempt.records[:late],
            reason="RecordAgeExceeded",
            attempt=attempt,
            invoke_count=attempt.retries + 1,
        )
        rest = attempt.records[late:]
        return (replace(attempt, records=rest, request_id=None) if rest else None), Decision(discard=(gone,))

    def judge(self, attempt: Attempt, outcome: Outcome) -> Decision:
        """Settle, retry, split or give up, by the rules of Lambda's stream sources."""
        match outcome:
            case Accepted(state):
                return Decision(settle=attempt.records, state=state)
            case Refused():
                return refused(attempt, outcome)
            case Partial(failed):
                return self._partial(attempt, outcome, failed)
            case Failed():
                return self._failed(attempt, outcome)
        assert_never(outcome)

    def _partial(self, attempt: Attempt, outcome: Partial, failed: frozenset[str]) -> Decision:
        """Before the first failed record everything is done; from it on everything is a new batch with a fresh budget."""
        first = next(index for index, record in enumerate(attempt.records) if record.id in failed)
        if first == 0:
            return self._failed(attempt, outcome, split_at=1)
        rest = Attempt(records=attempt.records[first:])
        return Decision(settle=attempt.records[:first], again=(rest,), wait=self.backoff.wait(0), state=outcome.state)

    def _failed(self, attempt: Attempt, outcome: Outcome, split_at: int | None = None) -> Decision:
        """Splits first: what the error says of the batch may be true of one record only."""
        size = len(attempt.records)
        if self.bisect and size > 1:
            return Decision(again=_split(attempt, split_at or (size + 1) // 2))
        again = replace(attempt, retries=attempt.retries + 1, refusals=0, blocked=False)
        if not self._exhausted(attempt, outcome):
            return Decision(again=(again,), wait=self.backoff.wait(attempt.retries))
        if self.on_exhausted == "block":
            return Decision(again=(replace(again, blocked=True),), wait=self.backoff.maximum)
        return Decision(discard=(_given_up(attempt, outcome),))

    def _exhausted(self, attempt: Attempt, outcome: Outcome) -> bool:
        if self.max_retries is not None and attempt.retries >= self.max_retries:
            return True
        return isinstance(outcome, Failed) and any(matches(outcome.error_type, pattern) for pattern in self.non_retryable)


def matches(error_type: str, pattern: str) -> bool:
    """Whether the type of a function's error is the one meant. What has no type (an event that was too large) never is."""
    if pattern.endswith(ANY_ENDING):
        return bool(error_type) and error_type.startswith(pattern.removesuffix(ANY_ENDING))
    return error_type == pattern


def backoff(failures: int) -> float:
    """Seconds before the next try after this many earlier failures: 0.5, doubling, at most 60."""
    return BACKOFF.wait(failures)


def refused(attempt: Attempt, outcome: Refused) -> Decision:
    """Nobody ran it: the same attempt again, after a wait, or when the other side asks for it. Spends no retry."""
    wait = outcome.retry_after or backoff(attempt.refusals)  # "after 0 seconds" must not become a hot loop
    return Decision(again=(replace(attempt, refusals=attempt.refusals + 1),), wait=wait)


def _given_up(attempt: Attempt, outcome: Outcome) -> Discard:
    return Discard(
        records=attempt.records,
        reason="RetryAttemptsExhausted",
        attempt=attempt,
        invoke_count=attempt.retries + 1,
        outcome=outcome,
    )


def _split(attempt: Attempt, at: int) -> tuple[Attempt, Attempt]:
    return Attempt(records=attempt.records[:at]), Attempt(records=attempt.records[at:])


def _expired_prefix(records: tuple[Record, ...], horizon: float) -> int:
    """How many records at the front arrived at `horizon` or before."""
    return next((index for index, record in enumerate(records) if record.arrived_at > horizon), len(records))
