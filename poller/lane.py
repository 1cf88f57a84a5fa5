"""One lane, from source to acknowledgement: the whole life of a record.

    lane.read -> wanted? --no--> lane.settle
                   | yes
               batcher.add -> policy.expire -> function.invoke -> response.read -> policy.judge -> carry_out
                                   ^                                                                 |
                                   +------------------------- again, after `wait` -------------------+
                                                                         settle -> lane.settle ------+
                                                   discard -> destination.send, then lane.settle ----+
                                                                       release -> lane.release ------+

There is no branch on the kind of source here. What differs between a stream and a queue is the policy, and what the lane does on
settle and release.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, RetryError, retry_if_exception_type

from poller.core import response
from poller.core.batching import Batcher
from poller.core.model import Attempt, Decision, Release, without
from poller.core.unwanted import settled
from poller.errors import MappingError, Unavailable
from poller.function import new_request_id
from poller.retry import full_jitter, jittered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tenacity import RetryCallState

    from poller.core.batching import BatchLimits
    from poller.core.model import Batch, Discard, Outcome, Record
    from poller.core.policy import Policy
    from poller.core.report import Report
    from poller.drain import Drain
    from poller.function import Function
    from poller.observe.mapping import MappingObserver
    from poller.ports import Clock, Destination, Lane, Rng


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done with the records of a lane.

    Attributes:
        mapping: its name, the unit of fairness for permits.
        priority: whose turn it is when permits are scarce: higher goes first.
        place: the shard or slot, for logs.
        limits: when a batch is full.
        wants: says which records the filter lets through; None: all of them.
        report_batch_item_failures: whether the function's answer counts.
        policy: what becomes of records after an attempt.
        function: what is invoked.
        function_arn: what its context and failure documents call it.
        destination: where discarded records are reported; None: nowhere.
        report: makes the report of a discard, given the time in Unix seconds.
        unwanted: what becomes of the others.
        judged: told of each outcome, before anything is carried out.
        still_ours: raises `LeaseLost` where the records may be somebody else's by now; asked right before each invocation
            and each report: a process that stood still wakes with those due, and its timers not yet looked at.
    """

    mapping: str
    place: str
    limits: BatchLimits
    report_batch_item_failures: bool
    policy: Policy
    function: Function
    function_arn: str
    destination: Destination | None
    report: Callable[[Discard, float], Report]
    observe: MappingObserver
    clock: Clock
    rng: Rng
    priority: int = 0
    wants: Callable[[Record], bool] | None = None
    unwanted: Callable[[tuple[Record, ...]], Decision] = settled
    judged: Callable[[Attempt, Outcome], None] = lambda *_: None
    still_ours: Callable[[], None] = lambda: None


async def run_lane(lane: Lane, work: Work, drain: Drain) -> None:
    """Reads, batches and works off until the lane ends or the drain starts. Every record read is settled or released."""
    batcher = Batcher(work.limits)
    batcher.opened(work.clock.monotonic())
    ended = False
    while not (ended or drain.started):
        now, skew = steady(work.clock)
        piece = await lane.read(batcher.room, batcher.patience(now, skew))
        ended = piece.ended
        wanted = await sift(piece.records, lane, work, drain)
        now, skew = steady(work.clock)
        for batch in batcher.add(wanted, now, more=piece.more, skew=skew):
            await work_off(batch, lane, work, drain)
            batcher.opened(work.clock.monotonic())
    for batch in batcher.flush():
        await work_off(batch, lane, work, drain)


async def sift(records: Sequence[Record], lane: Lane, work: Work, drain: Drain) -> Sequence[Record]:
    """The records that the filter lets through. The others nobody sees; they are done with, or what else the mapping says."""
    if (wants := work.wants) is None:
        return records
    wanted: list[Record] = []
    unwanted: list[Record] = []
    for record in records:
        (wanted if wants(record) else unwanted).append(record)
    if unwanted:
        work.observe.filtered(len(unwanted))
        await carry_out(work.unwanted(tuple(unwanted)), lane, work, drain)
    return wanted


async def work_off(batch: Batch, lane: Lane, work: Work, drain: Drain) -> None:
    """Until each record of the batch is settled or released; an attempt's own offspring goes before its later siblings."""
    todo = deque((Attempt(records=batch.records),))
    while todo and not drain.started:
        decision = await step(todo.popleft(), lane, work, drain)
        todo.extendleft(reversed(decision.again))
        await asyncio.sleep(0)  # a function that answers without waiting must not keep the loop from everybody else
        if decision.wait and decision.again:
            lane.waiting(decision.again[0])
            await drain.sleep(jittered(decision.wait, work.rng))
            lane.waiting(None)
    for attempt in todo:
        await hand_back(attempt.records, lane, work)


async def step(attempt: Attempt, lane: Lane, work: Work, drain: Drain) -> Decision:
    """One attempt, invoked once at the most, its decision carried out. Age is looked at with the permit already in hand."""
    if attempt.request_id is None:
        attempt = replace(attempt, request_id=new_request_id(work.rng))
    async with work.function.permit(work.mapping, work.priority, drain) as permitted:
        if not permitted:
            return Decision(again=(attempt,))
        work.still_ours()
        gone = lane.lost(attempt)
        alive, decision = set_apart(attempt, gone) if gone else work.policy.expire(attempt, work.clock.time())
        if alive is attempt:
            decision = await invoke(attempt, work)
    await carry_out(decision, lane, work, drain)
    if alive is None or alive is attempt:
        return decision
    return replace(decision, again=(alive,))  # what is younger goes on as another attempt: no retry that is to be counted


def set_apart(attempt: Attempt, gone: tuple[Record, ...]) -> tuple[Attempt | None, Decision]:
    """What is not ours any more is not invoked; the rest is another attempt."""
    return without(attempt, gone), Decision(release=(Release(records=gone),))


async def invoke(attempt: Attempt, work: Work) -> Decision:
    """The function's verdict on an attempt. Nothing is carried out yet."""
    started = work.clock.monotonic()
    work.observe.invoking(attempt, work.place, work.clock.time())
    try:
        answer = await work.function.invoke(attempt, work.function_arn, work.mapping)
    except BaseException:
        work.observe.cancelled(attempt)
        raise
    outcome = response.read(answer, attempt, report_batch_item_failures=work.report_batch_item_failures)
    work.observe.answered(attempt, work.place, answer, outcome, work.clock.monotonic() - started)
    work.judged(attempt, outcome)
    return work.policy.judge(attempt, outcome)


async def carry_out(decision: Decision, lane: Lane, work: Work, drain: Drain) -> None:
    """The one place where a decision becomes effects: the destination before the settlement, the settlement before `again`."""
    work.observe.decided(decision)
    if decision.settle:
        await lane.settle(decision.settle)
    for release in decision.release:  # before what may have to wait for a destination
        await lane.release(release)
    for discard in decision.discard:
        lane.waiting(discard.attempt)
        taken = await delivered(discard, work, drain)
        lane.waiting(None)
        await (lane.settle(discard.records) if taken else hand_back(discard.records, lane, work))


async def delivered(discard: Discard, work: Work, drain: Drain) -> bool:
    """Tells the destination, for as long as it takes; False where the drain came first: then the records are not settled."""
    if work.destination is None:
        work.observe.dropped(discard, work.place)
        return True
    report = work.report(discard, work.clock.time())

    def count(state: RetryCallState) -> None:
        if state.outcome is not None and isinstance(error := state.outcome.exception(), (Unavailable, MappingError)):
            work.observe.undeliverable(error)

    persistent = AsyncRetrying(
        sleep=drain.sleep,
        wait=full_jitter(work.rng),
        stop=lambda _: drain.started,
        retry=retry_if_exception_type((Unavailable, MappingError)),
        after=count,
    )
    destination = work.destination

    async def send() -> None:
        work.still_ours()
        await destination.send(report)

    try:
        await persistent(send)
    except RetryError:
        return False
    work.observe.delivered(discard, work.place)
    return True


async def hand_back(records: tuple[Record, ...], lane: Lane, work: Work) -> None:
    """We are to stop: somebody else will do these."""
    work.observe.returned(len(records))
    await lane.release(Release(records=records))


def steady(clock: Clock) -> tuple[float, float]:
    """The steady time, and what must be added to it to have Unix time."""
    now = clock.monotonic()
    return now, clock.time() - now
