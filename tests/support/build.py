"""Records, attempts and answers for tests, by hand and by hypothesis; and a lane without a world, to play a policy."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from poller.core.model import Accepted, Attempt, Failed, Outcome, Partial, Record, Refused, position
from poller.core.policy import StreamPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from poller.core.model import Decision, Discard
    from poller.core.policy import Policy

RAISED = Failed("function_error", "ValueError: no")
THROTTLED = Refused("throttled")


def record(number: int, *, arrived_at: float = 0.0, payload: bytes | None = None, group: str = "") -> Record:
    """The record with this sequence number."""
    name = str(number)
    data = b'{"n":%d}' % number if payload is None else payload
    return Record(id=name, position=position(name), arrived_at=arrived_at, payload=data, group=group)


def records(*numbers: int, arrived_at: float = 0.0) -> tuple[Record, ...]:
    """Records with these sequence numbers, all of which arrived at the same time."""
    return tuple(record(number, arrived_at=arrived_at) for number in numbers)


def attempt(*numbers: int, retries: int = 0, refusals: int = 0, request_id: str | None = None) -> Attempt:
    """An attempt of records with these sequence numbers."""
    return Attempt(records=records(*numbers), retries=retries, refusals=refusals, request_id=request_id)


def ids(some: Iterable[Record]) -> list[str]:
    """Their ids, in order."""
    return [each.id for each in some]


def reported(*numbers: int) -> Partial:
    """The function has reported the records with these sequence numbers."""
    return Partial(frozenset(str(number) for number in numbers))


def parts(decision: Decision) -> list[Record]:
    """Every record that a decision names, in the order in which a stream must keep them."""
    return [
        *decision.settle,
        *(one for discard in decision.discard for one in discard.records),
        *(one for again in decision.again for one in again.records),
        *(one for release in decision.release for one in release.records),
    ]


# ----------------------------------------------------------------------------------------------------------------- strategies


@st.composite
def attempts(draw: st.DrawFn, *, most: int = 12) -> Attempt:
    """Attempts of one to `most` records, in order of position; arrival times may run backwards, as Kinesis lets them."""
    size = draw(st.integers(1, most))
    arrivals = draw(st.lists(st.integers(0, 400), min_size=size, max_size=size))
    return Attempt(
        records=tuple(record(number, arrived_at=arrived) for number, arrived in enumerate(arrivals, start=1)),
        retries=draw(st.integers(0, 6)),
        refusals=draw(st.integers(0, 6)),
        request_id=draw(st.none() | st.just("request")),
    )


def failures(of: Attempt) -> st.SearchStrategy[Outcome]:
    """Outcomes that leave something undone, refusals excepted."""
    named = st.frozensets(st.sampled_from(ids(of.records)), min_size=1)
    kinds = st.sampled_from(["function_error", "timeout", "crash", "oom", "invoke_error", "batch_item"])
    return st.one_of(st.builds(Partial, named), st.builds(Failed, kinds))


def refusals() -> st.SearchStrategy[Refused]:
    """Refusals, with and without a wait that the other side asks for."""
    return st.builds(Refused, st.sampled_from(["throttled", "unavailable"]), st.none() | st.integers(0, 90))


def outcomes(of: Attempt) -> st.SearchStrategy[Outcome]:
    """Everything that can come of an attempt."""
    return st.one_of(st.just(Accepted()), failures(of), refusals())


judged = attempts().flatmap(lambda of: st.tuples(st.just(of), outcomes(of)))
"""An attempt, and what came of it."""


def policies(*, finite: bool = False) -> st.SearchStrategy[StreamPolicy]:
    """Stream policies; with `finite`, those that give up after some retries. `RAISED` has no type, `doubles.RAISES` has one."""
    retries = st.integers(0, 5)
    return st.builds(
        StreamPolicy,
        max_retries=retries if finite else st.none() | retries,
        max_age=st.none() | st.integers(1, 300),
        bisect=st.booleans(),
        non_retryable=st.sampled_from([(), (), ("ValueError",)]),
        on_exhausted=st.just("discard") if finite else st.sampled_from(["discard", "discard", "block"]),
    )


# ----------------------------------------------------------------------------------------------------------- playing a policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoked:
    """One invocation: when, of which records, under which request id."""

    at: float
    ids: list[str]
    request_id: str | None


@dataclass(slots=True, kw_only=True)
class Play:
    """What became of a batch.

    Attributes:
        now: Unix seconds at the end.
        invoked: every invocation, refused ones too.
        settled: ids in the order in which they were settled, what was given up included.
        discards: what was given up.
    """

    now: float = 0.0
    invoked: list[Invoked] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    discards: list[Discard] = field(default_factory=list)

    @property
    def deliveries(self) -> list[list[str]]:
        """The ids of every invocation."""
        return [each.ids for each in self.invoked]


def play(
    policy: Policy, batch: Iterable[Record], function: Callable[[Attempt], Outcome], *, now: float = 0.0, limit: int = 10_000
) -> Play:
    """Works a batch off as a lane does: age before each invocation, offspring before later siblings, waits without jitter.

    Fails after `limit` invocations. Each new attempt gets the next of the request ids `r1`, `r2`, ...
    """
    seen = Play(now=now)
    todo = deque((Attempt(records=tuple(batch)),))
    given = 0
    while todo:
        of = todo.popleft()
        if of.request_id is None:
            given += 1
            of = replace(of, request_id=f"r{given}")
        todo.extendleft(reversed(_step(policy, of, function, seen)))
        assert len(seen.invoked) <= limit, f"not drained after {limit} invocations"
    return seen


def _step(policy: Policy, of: Attempt, function: Callable[[Attempt], Outcome], seen: Play) -> tuple[Attempt, ...]:
    alive, decision = policy.expire(of, seen.now)
    _settle(decision, seen)
    if alive is not of:
        return () if alive is None else (alive,)
    seen.invoked.append(Invoked(at=seen.now, ids=ids(of.records), request_id=of.request_id))
    decision = policy.judge(of, function(of))
    _settle(decision, seen)
    seen.now += decision.wait
    return decision.again


def _settle(decision: Decision, seen: Play) -> None:
    seen.settled += ids(decision.settle)
    for discard in decision.discard:
        seen.discards.append(discard)
        seen.settled += ids(discard.records)
