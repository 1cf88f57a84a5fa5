"""What one holder of a shard's lease may do next: Lambda's rules of order, budgets, age and request ids, as a watching machine.

It is fed with what was seen at the ends (invocations, answers, documents, checkpoints) and raises `Broken` where the rules leave
no such thing. Written from the rules, apart from the daemon's policy. Records are numbered in the order of their shard.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.sim.journal import Broken
from support.sim.scenario import FOREVER

if TYPE_CHECKING:
    from support.sim.books import Book, Moment
    from support.sim.documents import Document
    from support.sim.scenario import MappingPlan
    from support.sim.verdict import Verdict

MILLISECOND = 0.0011
RESOLUTION = 1e-5


@dataclass(slots=True, kw_only=True)
class Due:
    """Records `low` to `high` (excluded) that have to be invoked together next.

    Attributes:
        failures: how often they were.
        request_id: of the last invocation of exactly these; None: it will be a new one.
        spent: the budget is used up, so they have to be given up, and not invoked again.
        verdict: of the last invocation.
    """

    low: int
    high: int
    failures: int = 0
    request_id: str | None = None
    spent: bool = False
    verdict: Verdict | None = None


@dataclass(slots=True, kw_only=True)
class Hold:
    """One hold of one shard for one mapping.

    Attributes:
        epoch: of its lease.
        owner: the process that has it.
        first: where it begins, by the checkpoint.
        cursor: everything before it is resolved.
        settled: everything before it its holder takes for resolved; behind `cursor` while a document is under way.
        earliest: where a hold that begins at a time, not at a record, may begin instead of at `cursor`; None once it has begun.
        dues: what was invoked and has to be again, the next one last.
        given_up: documents that arrived.
        silent: records given up without a document.
        idle_since: when the last invocation was over, or the hold began, by the loop's clock: no window opens before.
        expired: the first record after those that were given up as too old last.
        last_read: the last record that its reader got; None: nothing yet.
        over: an invocation was cut off, so there will be no other.
        returned: its holder gave the lease back.
        vague: not all that was given up without a document can be known: it began at a time, or ended in haste.
    """

    plan: MappingPlan
    book: Book
    owner: str
    epoch: int
    first: int
    cursor: int
    settled: int
    earliest: int | None
    idle_since: float
    expired: int | None = None
    dues: list[Due] = field(default_factory=list)
    given_up: list[Document] = field(default_factory=list)
    silent: list[int] = field(default_factory=list)
    last_read: int | None = None
    over: bool = False
    returned: bool = False
    vague: bool = False

    # ---------------------------------------------------------------------------------------------------------- invocations

    def invoked(self, low: int, high: int, request_id: str, now: Moment) -> bool:
        """These go to the function. True where the request id has to be a new one."""
        self._begin(low)
        self._pass_over(low, now)
        if self.over:
            raise Broken("an invocation after one that was cut off")
        if low != self.cursor:
            raise Broken(f"record {low} is invoked, but {self.cursor} is next")
        self._check_age(low, high, now.unix)
        if self.dues:
            self._check_due(low, high, request_id)
        else:
            self._check_fresh(low, high, now.at)
            self.dues.append(Due(low=low, high=high))
        due = self.dues[-1]
        new, due.request_id = due.request_id is None, request_id
        return new

    def answered(self, verdict: Verdict, now: Moment) -> str:
        """What the running invocation came to. Returns what happens next: `retry`, `split`, or nothing to speak of."""
        self.idle_since = now.at
        due = self.dues[-1]
        due.verdict = verdict
        if verdict.kind == "refused":
            return ""
        if verdict.kind == "accepted":
            self.dues.pop()
            self.cursor = self.settled = due.high
            return ""
        if verdict.kind == "partial" and verdict.first > 0:
            self.cursor = self.settled = due.low + verdict.first
            self.dues[-1] = Due(low=self.cursor, high=due.high)
            return ""
        return self._failed(due, verdict)

    def _failed(self, due: Due, verdict: Verdict) -> str:
        size = due.high - due.low
        if self.plan.bisect and size > 1:
            middle = due.low + (1 if verdict.kind == "partial" else -(-size // 2))
            self.dues[-1:] = [Due(low=middle, high=due.high), Due(low=due.low, high=middle)]
            return "split"
        due.failures += 1
        due.spent = 0 <= self.plan.retries < due.failures
        return "" if due.spent else "retry"

    # --------------------------------------------------------------------------------------------------------- giving up

    def documented(self, document: Document, now: Moment) -> bool:
        """A document arrived. False where it repeats one that had arrived."""
        if document in self.given_up:
            return False
        self.idle_since = now.at
        low, high = self.book.index(document.first), self.book.index(document.last) + 1
        self._check_figures(document, low, high)
        self._begin(low)
        if low != self.cursor:
            raise Broken(f"records {low} to {high - 1} are given up, but {self.cursor} is next")
        if document.condition == "RetryAttemptsExhausted":
            self._exhausted(document, high)
        elif document.condition == "RecordAgeExceeded":
            self._expired(document, high)
        else:
            raise Broken(f"a document says {document.condition}")
        self.given_up.append(document)
        return True

    def confirmed(self, document: Document) -> None:
        """The holder knows that the document has arrived."""
        self.settled = max(self.settled, self.book.index(document.last) + 1)

    def _exhausted(self, document: Document, high: int) -> None:
        due = self.dues.pop() if self.dues else None
        if due is None or due.high != high or not due.spent:
            raise Broken(f"records up to {high - 1} are given up with retries left: {due}")
        told = (document.count, document.request_id, document.context)
        seen = (due.failures, due.request_id, due.verdict.context if due.verdict else None)
        if told != seen:
            raise Broken(f"a document says {told}, but it was {seen}")
        self.cursor = high

    def _expired(self, document: Document, high: int) -> None:
        due = self.dues[-1] if self.dues else Due(low=self.cursor, high=high)
        if high > due.high or due.spent:
            raise Broken(f"records up to {high - 1} are given up as too old, beyond the attempt {due}")
        young = [index for index in range(self.cursor, high) if not self._too_old(index, document.at + MILLISECOND)]
        if young:
            raise Broken(f"records {young} are given up as too old, and are not")
        if high < due.high and self._too_old(high, document.at - MILLISECOND):
            raise Broken(f"record {high} is too old as well, and is not given up with those before it")
        if (document.count, document.context) != (due.failures + 1, "absent"):
            raise Broken(f"a document of expired records says {document.count}, {document.context}; failures: {due.failures}")
        if due.request_id not in (None, document.request_id):
            raise Broken(f"a document names request {document.request_id}, the attempt was {due.request_id}")
        self._move(high)

    def _pass_over(self, goal: int, now: Moment) -> None:
        """Everything up to `goal` must have been given up without a document, by right. When exactly is not known."""
        while self.cursor < goal:
            if self.plan.destination:
                raise Broken(f"records {self.cursor} to {goal - 1} are passed over, neither accepted nor reported to the queue")
            due = self.dues[-1] if self.dues else None
            if due is not None and due.spent and due.high <= goal:
                self.dues.pop()
                self.silent += range(self.cursor, due.high)
                self.cursor = due.high
            elif self._too_old(self.cursor, now.highest) and not (due is not None and due.spent):
                self.silent.append(self.cursor)
                self._move(self.cursor + 1)
            else:
                raise Broken(f"record {self.cursor} is passed over, neither accepted, nor spent, nor too old: {due}")

    def _move(self, cursor: int) -> None:
        """An expired prefix is gone: the rest of its attempt goes on under another request id, its failures still counted."""
        self.cursor = self.expired = cursor
        if self.dues:
            due = self.dues[-1]
            due.low, due.request_id = cursor, None
            if due.low >= due.high:
                self.dues.pop()

    # -------------------------------------------------------------------------------------------------------- checkpoints

    def checkpoint(self, reached: int, now: Moment) -> None:
        """Everything before `reached` is said to be done."""
        self._begin(reached)
        self._pass_over(reached, now)

    def released(self, durable: int | None) -> None:
        """The lease is given back, with everything before `durable` durably done; None: in a haste that excuses anything."""
        self.returned, self.vague = True, self.vague or durable is None
        if durable is not None and durable < self.settled:
            raise Broken(f"{self.owner} gives {self.book.shard} back at {durable}, though it has settled {self.settled} records")

    @property
    def silent_drops(self) -> bool:
        """Whether records may be given up without a document; then the ledger learns of it only afterwards."""
        return not self.plan.destination and (self.plan.retries, self.plan.age) != (FOREVER, FOREVER)

    # ------------------------------------------------------------------------------------------------------------- inside

    def _begin(self, at: int) -> None:
        """The first event of a hold that begins at a time, not at a record, says at which record it began."""
        if self.earliest is not None:
            self.cursor = min(self.cursor, max(self.earliest, at))
            self.earliest, self.vague = None, True

    def _check_age(self, low: int, high: int, now: float) -> None:
        old = [index for index in range(low, high) if self._too_old(index, now)]
        if old:
            raise Broken(f"records {old} are invoked, and are too old")

    def _check_due(self, low: int, high: int, request_id: str) -> None:
        due = self.dues[-1]
        if (low, high) != (due.low, due.high) or due.spent:
            raise Broken(f"records {low} to {high - 1} are invoked, but due is {due}")
        if due.request_id is not None and request_id != due.request_id:
            raise Broken(f"an unchanged retry of records {low} to {high - 1} has another request id")

    def _check_fresh(self, low: int, high: int, now: float) -> None:
        """A batch is full, or its window is over, or nothing more will come, or it went early because of what expired in it."""
        missing = self.plan.batch_size - (high - low)
        if missing < 0:
            raise Broken(f"a batch of {high - low} records, {self.plan.batch_size} are allowed")
        ended = self.book.closed and self.last_read == len(self.book.entries) - 1
        if missing and now < self.idle_since + self.plan.window - RESOLUTION and not ended and self.expired != low:
            raise Broken(
                f"a batch of {high - low} records after {now - self.idle_since:.3f} s of a window of {self.plan.window} s"
            )

    def _check_figures(self, document: Document, low: int, high: int) -> None:
        first, last = self.book.entries[low], self.book.entries[high - 1]
        told = (document.size, document.arrived_first, document.arrived_last)
        if told != (high - low, first.arrived_at, last.arrived_at):
            raise Broken(f"a document of records {low} to {high - 1} says {told}")

    def _too_old(self, index: int, now: float) -> bool:
        return self.plan.age >= 0 and self.book.entries[index].arrived_at <= now - self.plan.age
