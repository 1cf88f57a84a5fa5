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
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tenacity import AsyncRetrying, RetryError, retry_if_exception_type

from poller.core import response
from poller.core.batching import Batcher
from poller.core.envelope import TAIL
from poller.core.model import Decision, Release, without
from poller.core.splits import OpenBatch, divides
from poller.core.unwanted import settled
from poller.core.windows import moved_on
from poller.errors import MappingError, Unavailable
from poller.function import new_request_id
from poller.retry import LONGEST_ASKED, SPREAD, full_jitter, jittered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tenacity import RetryCallState

    from poller.core.batching import BatchLimits
    from poller.core.memo import Cut
    from poller.core.model import Attempt, Batch, Discard, Outcome, Record
    from poller.core.policy import Policy
    from poller.core.report import Report, Shortened
    from poller.core.windows import Tumbling
    from poller.drain import Drain
    from poller.function import Function
    from poller.observe.mapping import MappingObserver
    from poller.ports import Clock, Destination, Lane, Rng

    Step = Callable[[OpenBatch, Lane, "Work", Drain], Awaitable[Decision]]
    """Does something with the first attempt of a batch. Where each of its records goes: that has been carried out by then."""


DROP_TRIES = 3
"""How often a destination is asked whose failures drop records: Lambda asks once, through a client that repeats what failed."""

DROP_PATIENCE = 5.0
"""Seconds between those tries, whatever the destination asks for: it matters less than that the others go on."""


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
        tumbling: the windows whose state goes from one invocation to the next; None: there are none.
        jitter: by which part a wait before a retry is longer or shorter.
        on_destination_error: of discarded records that the destination does not take: they `wait` for it, or are dropped.
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
    tumbling: Tumbling | None = None
    wants: Callable[[Record], bool] | None = None
    unwanted: Callable[[tuple[Record, ...]], Decision] = settled
    jitter: float = SPREAD
    on_destination_error: Literal["wait", "drop"] = "wait"
    judged: Callable[[Attempt, Outcome], None] = lambda *_: None
    still_ours: Callable[[], None] = lambda: None


async def run_lane(lane: Lane, work: Work, drain: Drain) -> None:
    """Reads, batches and works off until the lane ends or the drain starts. Every record read is settled or released."""
    batcher = Batcher(work.limits, lane.memo.cuts)
    batcher.opened(work.clock.monotonic())
    ended = False
    while not (ended or drain.started):
        now, skew = steady(work.clock)
        piece = await lane.read(batcher.room, batcher.patience(now, skew))
        ended = piece.ended
        wanted = await sift(piece.records, lane, work, drain)
        now, skew = steady(work.clock)
        for batch in batcher.add(wanted, now, more=piece.more, full=piece.full, skew=skew):
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


async def work_off(batch: Batch, lane: Lane, work: Work, drain: Drain, by: Step | None = None) -> None:
    """Until each record of the batch is settled or released. What it is split into is remembered until then.

    One `step` after the other, or one of what `by` makes of it.
    """
    opened = OpenBatch(batch)
    while opened.attempts and not drain.started:
        decision = await (by or step)(opened, lane, work, drain)
        opened.carried_out(decision)
        await asyncio.sleep(0)  # a function that answers without waiting must not keep the loop from everybody else
        if decision.wait and decision.again:
            lane.waiting(decision.again[0])
            spread = SPREAD if decision.again[0].refusals else work.jitter  # when nobody ran it, the mapping has no say
            await drain.sleep(jittered(decision.wait, work.rng, spread))
            lane.waiting(None)
    if not drain.started:
        keep(batch.later, lane)
    for attempt in opened.attempts:
        await hand_back(attempt.records, lane, work)


def keep(cuts: tuple[Cut, ...], lane: Lane) -> None:
    """The lane remembers these, and whatever else it does."""
    if cuts != lane.memo.cuts:
        lane.remember(replace(lane.memo, cuts=cuts))


async def step(opened: OpenBatch, lane: Lane, work: Work, drain: Drain) -> Decision:
    """The first attempt, invoked once at the most, its decision carried out. Age is looked at with the permit already in hand."""
    attempt = opened.attempts[0]
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
    if lane.memo.cuts or divides(decision):
        keep(opened.cuts(decision), lane)
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
        answer = await work.function.invoke(attempt, work.function_arn, work.mapping, tail_of(attempt, work))
    except BaseException:
        work.observe.cancelled(attempt)
        raise
    outcome = response.read(answer, attempt, report_batch_item_failures=work.report_batch_item_failures)
    work.observe.answered(attempt, work.place, answer, outcome, work.clock.monotonic() - started)
    work.judged(attempt, outcome)
    decision = work.policy.judge(attempt, outcome)
    if decision.again and decision.again[0].blocked and not attempt.blocked:
        work.observe.blocked(attempt, work.place, outcome)
    return decision


def tail_of(attempt: Attempt, work: Work) -> bytes:
    """What follows the records in its event."""
    return TAIL if attempt.window is None or work.tumbling is None else work.tumbling.tail(attempt.window)


async def carry_out(decision: Decision, lane: Lane, work: Work, drain: Drain) -> None:
    """The one place where a decision becomes effects: the destination before the settlement, the settlement before `again`."""
    work.observe.decided(decision)
    if decision.state is not None:  # no await in between: both become durable together
        lane.remember(moved_on(lane.memo, decision.state))
    if decision.settle:
        await lane.settle(decision.settle)
    for release in decision.release:  # before what may have to wait for a destination
        await lane.release(release)
    taken = True
    for discard in decision.discard:
        lane.waiting(discard.attempt)
        taken = taken and await delivered(discard, work, drain)  # behind one that goes back, the others would be out of order
        lane.waiting(None)
        await (lane.settle(discard.records) if taken else hand_back(discard.records, lane, work))


async def delivered(discard: Discard, work: Work, drain: Drain) -> bool:
    """Tells the destination; False where the drain came first: then the records are not settled.

    It is told for as long as it takes; where its failures drop records, `DROP_TRIES` times.
    """
    if work.destination is None:
        work.observe.dropped(discard, work.place)
        return True
    tries = DROP_TRIES if work.on_destination_error == "drop" else math.inf

    def count(state: RetryCallState) -> None:
        if state.outcome is not None and isinstance(error := state.outcome.exception(), (Unavailable, MappingError)):
            work.observe.undeliverable(error)

    persistent = AsyncRetrying(
        sleep=drain.sleep,
        wait=full_jitter(work.rng, DROP_PATIENCE if tries == DROP_TRIES else LONGEST_ASKED),
        stop=lambda state: drain.started or state.attempt_number >= tries,
        retry=retry_if_exception_type((Unavailable, MappingError)),
        after=count,
    )
    destination, report = work.destination, work.report(discard, work.clock.time())

    async def send() -> Shortened | None:
        work.still_ours()
        return await destination.send(report)

    shortened: Shortened | None
    try:
        shortened = await persistent(send)
    except RetryError as given_up:
        if given_up.last_attempt.attempt_number < tries:
            return False
        work.observe.dropped(discard, work.place, given_up.last_attempt.exception())
        return True
    work.observe.delivered(discard, work.place, shortened)
    return True


async def hand_back(records: tuple[Record, ...], lane: Lane, work: Work) -> None:
    """We are to stop: somebody else will do these."""
    work.observe.returned(len(records))
    await lane.release(Release(records=records))


def steady(clock: Clock) -> tuple[float, float]:
    """The steady time, and what must be added to it to have Unix time."""
    now = clock.monotonic()
    return now, clock.time() - now
