"""What may come next in one lane of a held shard: Lambda's rules of order, budgets, age and request ids, as a watching machine.

It is fed with what was seen at the ends (invocations, answers, documents, checkpoints) and raises `Broken` where the rules leave
no such thing. Written from the rules, apart from the daemon's policy. Records are numbered in the order of their lane.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.sim.cuts import alike
from support.sim.journal import Broken
from support.sim.windows import known

if TYPE_CHECKING:
    from support.sim.books import Asked, Moment, Row
    from support.sim.cuts import Cuts, Shape
    from support.sim.documents import Document
    from support.sim.scenario import MappingPlan
    from support.sim.stored import Kept, Shown
    from support.sim.verdict import Verdict
    from support.sim.windows import Windows

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

    Without any record it is the invocation that closes a window.
    """

    low: int
    high: int
    failures: int = 0
    request_id: str | None = None
    spent: bool = False
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What has to be known of a lane beside how far it is done.

    Attributes:
        behind: everything up to this sequence number is resolved.
        cuts: see `Cuts.shown`.
    """

    behind: int
    cuts: tuple[Shape, ...] | None
    window: Shown | None

    def fits(self, kept: Kept) -> bool:
        """Whether this is what is stored: a cut that is behind says nothing, and so does a window with nothing in it."""
        ahead = [cut for cut in kept.cuts if cut[0] > self.behind]
        return (self.cuts is None or alike(self.cuts, ahead)) and known(kept.window) == self.window


@dataclass(slots=True, kw_only=True)
class Track:
    """One lane of one hold of a shard.

    Attributes:
        cursor: everything before it is resolved.
        settled: everything before it its holder takes for resolved; behind `cursor` while a document is under way.
        earliest: where a hold that begins at a time, not at a record, may begin instead of at `cursor`; None once it has begun.
        dues: what was invoked and has to be again, the next one last.
        silent: records given up without a document.
        idle_since: when the last invocation was over, or the hold began, by the loop's clock: no window opens before.
        expired: the first record after those that were given up as too old last.
        windows: of a mapping that has them.
        cuts: what is left of those with which the hold began.
    """

    plan: MappingPlan
    row: Row
    cursor: int
    settled: int
    earliest: int | None
    idle_since: float
    windows: Windows
    cuts: Cuts
    expired: int | None = None
    dues: list[Due] = field(default_factory=list)
    silent: list[int] = field(default_factory=list)

    # ---------------------------------------------------------------------------------------------------------- invocations

    def invoked(self, asked: Asked, now: Moment, *, last: bool, full: bool) -> bool:
        """These go to the function. True where the request id has to be a new one.

        `last`: nothing more will come; `full`: nothing can, as the shard holds as much as it may.
        """
        if not asked.run:
            self._drop_unseen(now, asked.shown)
        low, high = (asked.run.start, asked.run.stop) if asked.run else (self.cursor, self.cursor)
        self.begin(low)
        self._pass_over(low, now)
        if low != self.cursor:
            raise Broken(f"{self._say(low)} is invoked, but {self.cursor} is next")
        self._check_age(low, high, now.unix)
        if self.dues:
            self._check_due(low, high, asked.request_id)
        elif asked.run:
            self.dues.append(self._fresh(low, high, now, ends=full or (last and high == len(self.row))))
        else:
            self.dues.append(Due(low=low, high=high))
        if asked.shown is not None and asked.shown.final:
            self.windows.check_final(low, asked.shown, now, last=last and low == len(self.row))
        else:
            self.windows.check(asked.run, asked.shown)
        due = self.dues[-1]
        new, due.request_id = due.request_id is None, asked.request_id
        return new

    def answered(self, verdict: Verdict, now: Moment) -> str:
        """What the running invocation came to. Returns what happens next: `retry`, `split`, or nothing to speak of."""
        self.idle_since = now.at
        self.dues[-1].verdict = verdict
        then = self._answered(self.dues[-1], verdict)
        self.cuts.keep(self.dues, split=then == "split" or (verdict.kind == "partial" and verdict.first > 0))
        return then

    def _answered(self, due: Due, verdict: Verdict) -> str:
        if verdict.kind == "refused":
            return ""
        if verdict.kind == "accepted":
            self.dues.pop()
            self.cursor = self.settled = due.high
            if due.low == due.high:
                self.windows.closed()
            else:
                self.windows.returned(verdict.state)
            return ""
        if verdict.kind == "partial" and verdict.first > 0:
            self.cursor = self.settled = due.low + verdict.first
            self.dues[-1] = Due(low=self.cursor, high=due.high)
            self.windows.returned(verdict.state)
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
        if due.spent and due.low == due.high and not self.plan.destination:
            self.dues.pop()
            self.windows.closed()
            return ""
        return "" if due.spent else "retry"

    # --------------------------------------------------------------------------------------------------------- giving up

    def documented(self, document: Document, now: Moment) -> None:
        """A document arrived that had not arrived before."""
        self.idle_since = now.at
        low, high = self._span(document)
        self._check_figures(document, low, high)
        self.begin(low)
        if low != self.cursor:
            raise Broken(f"{self._say(low, high)} are given up, but {self.cursor} is next")
        if document.condition == "RetryAttemptsExhausted":
            self._exhausted(document, high)
        elif document.condition == "RecordAgeExceeded":
            self._expired(document, high)
        else:
            raise Broken(f"a document says {document.condition}")

    def confirmed(self, document: Document) -> None:
        """The holder knows that the document has arrived."""
        self.settled = max(self.settled, self._span(document)[1])

    def _span(self, document: Document) -> tuple[int, int]:
        """Without any record it is of an invocation that was to close a window."""
        if document.first is None or document.last is None:
            return self.cursor, self.cursor
        return self.row.index(document.first), self.row.index(document.last) + 1

    def _exhausted(self, document: Document, high: int) -> None:
        due = self.dues.pop() if self.dues else None
        if due is None or due.high != high or not due.spent:
            raise Broken(f"{self._say(self.cursor, high)} are given up with retries left: {due}")
        told = (document.count, document.request_id, document.context)
        seen = (due.failures, due.request_id, due.verdict.context if due.verdict else None)
        if told != seen:
            raise Broken(f"a document says {told}, but it was {seen}")
        if document.shown != self.windows.documented(final=due.low == due.high):
            raise Broken(f"a document is of {document.shown}, but {self.windows.open} is open")
        self.cursor = high
        self.cuts.keep(self.dues, split=False)
        if due.low == due.high:
            self.windows.closed()

    def _expired(self, document: Document, high: int) -> None:
        failures = self.cuts.failures(self.cursor, high, document.count)
        due = self.dues[-1] if self.dues else Due(low=self.cursor, high=high, failures=failures)
        if high > due.high or due.spent:
            raise Broken(f"{self._say(self.cursor, high)} are given up as too old, beyond the attempt {due}")
        young = [index for index in range(self.cursor, high) if not self._too_old(index, document.at + MILLISECOND)]
        if young:
            raise Broken(f"records {young} are given up as too old, and are not")
        if high < due.high and self._too_old(high, document.at - MILLISECOND):
            raise Broken(f"{self._say(high)} is too old as well, and is not given up with those before it")
        if (document.count, document.context) != (due.failures + 1, "absent"):
            raise Broken(f"a document of expired records says {document.count}, {document.context}; failures: {due.failures}")
        if due.request_id not in (None, document.request_id):
            raise Broken(f"a document names request {document.request_id}, the attempt was {due.request_id}")
        self._move(high)

    def _pass_over(self, goal: int, now: Moment) -> None:
        """Everything up to `goal` must have been given up without a document, by right. When exactly is not known."""
        while self.cursor < goal:
            if self.plan.destination:
                raise Broken(f"{self._say(self.cursor, goal)} are passed over, neither accepted nor reported to the queue")
            due = self.dues[-1] if self.dues else None
            if due is not None and due.spent and (due.high <= goal or self.plan.factor > 1):  # the rest waits for other lanes
                self.dues.pop()
                self.silent += range(self.cursor, due.high)
                self.cursor = due.high
                self.cuts.keep(self.dues, split=False)
            elif self._too_old(self.cursor, now.highest) and not (due is not None and due.spent):
                self.silent.append(self.cursor)
                self._move(self.cursor + 1)
            else:
                raise Broken(f"{self._say(self.cursor)} is passed over, neither accepted, nor spent, nor too old: {due}")

    def _drop_unseen(self, now: Moment, shown: Shown | None) -> None:
        """What is still open of a window that is to be closed was given up, as far as that may be."""
        while self.cursor < len(self.row) and not self.plan.destination and not self.windows.over(self.cursor, shown):
            spent = bool(self.dues) and self.dues[-1].spent and self.dues[-1].low < self.dues[-1].high
            if not spent and not self._too_old(self.cursor, now.highest):
                return
            self._pass_over(self.dues[-1].high if spent else self.cursor + 1, now)

    def _move(self, cursor: int) -> None:
        """An expired prefix is gone: the rest of its attempt goes on under another request id, its failures still counted."""
        self.windows.passed(cursor - 1)
        self.cursor = self.expired = cursor
        self.cuts.vague = not self.dues
        if self.dues:
            due = self.dues[-1]
            due.low, due.request_id = cursor, None
            if due.low >= due.high:
                self.dues.pop()

    # -------------------------------------------------------------------------------------------------------- checkpoints

    def checkpoint(self, reached: int, now: Moment) -> None:
        """Everything before `reached` is said to be done."""
        self.begin(reached)
        self._pass_over(reached, now)

    def told(self) -> Told:
        """What is to be known of it now."""
        behind = self.row.entry(self.cursor - 1).sequence if self.cursor else 0
        return Told(behind=behind, cuts=self.cuts.shown(self.row, self.cursor), window=self.windows.told)

    # ------------------------------------------------------------------------------------------------------------- inside

    def begin(self, at: int) -> None:
        """The first event of a lane whose hold begins at a time, not at a record, says at which record it began."""
        if self.earliest is not None:
            self.cursor = min(self.cursor, max(self.earliest, at))
            self.earliest = None

    def _check_age(self, low: int, high: int, now: float) -> None:
        old = [index for index in range(low, high) if self._too_old(index, now)]
        if old:
            raise Broken(f"records {old} are invoked, and are too old")

    def _check_due(self, low: int, high: int, request_id: str) -> None:
        due = self.dues[-1]
        if (low, high) != (due.low, due.high) or due.spent:
            raise Broken(f"{self._say(low, high)} are invoked, but due is {due}")
        if due.request_id is not None and request_id != due.request_id:
            raise Broken(f"an unchanged retry of {self._say(low, high)} has another request id")

    def _fresh(self, low: int, high: int, now: Moment, *, ends: bool) -> Due:
        """A batch is full, or its window is over, or nothing more will come, or it went early because of what expired in it.

        Or it ends where a part of one that was split before begins or ends, or where a tumbling window does; or it is to stop,
        and must come as far as other lanes are.
        """
        missing, cut = self.plan.batch_size - (high - low), self.cuts.next(low)
        if missing < 0:
            raise Broken(f"a batch of {high - low} records, {self.plan.batch_size} are allowed")
        if cut is not None and high - 1 > cut.last:
            raise Broken(f"{self._say(low, high)} are put together again, and had been split after {cut.last}")
        if cut is not None and low < cut.first < high:
            raise Broken(f"{self._say(low, high)} are put together again, and had been split before {cut.first}")
        failures = self.cuts.reached(high)
        early = now.at < self.idle_since + self.plan.window - RESOLUTION
        ended = ends or (cut is not None and high in {cut.first, cut.last + 1})
        levels = now.draining and self.plan.factor > 1
        if missing and early and not (ended or levels or self._window_ends(low, high, now) or self.expired == low):
            raise Broken(
                f"a batch of {high - low} records after {now.at - self.idle_since:.3f} s of a window of {self.plan.window} s"
            )
        return Due(low=low, high=high, failures=failures)

    def _window_ends(self, low: int, high: int, now: Moment) -> bool:
        """Whether the tumbling window of these is over: a later record has come, or its time is up."""
        if not self.plan.tumbling:
            return False
        window = self.windows.open or self.windows.of(low)
        return self.windows.over(high, window) or now.highest >= window.end

    def _check_figures(self, document: Document, low: int, high: int) -> None:
        if low == high:
            return
        first, last = self.row.entry(low), self.row.entry(high - 1)
        told = (document.size, document.arrived_first, document.arrived_last)
        if told != (high - low, first.arrived_at, last.arrived_at):
            raise Broken(f"a document of {self._say(low, high)} says {told}")

    def _too_old(self, index: int, now: float) -> bool:
        return self.plan.age >= 0 and self.row.entry(index).arrived_at <= now - self.plan.age

    def _say(self, low: int, high: int | None = None) -> str:
        where = f" of lane {self.row.lane}" if self.plan.factor > 1 else ""
        return f"record {low}{where}" if high is None else f"records {low} to {high - 1}{where}"
