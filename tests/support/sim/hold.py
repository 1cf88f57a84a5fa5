"""What one holder of a shard's lease may do next: in each lane what its `Track` allows, and for all of them one checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from support.sim.cuts import Cut, Cuts
from support.sim.journal import Broken
from support.sim.scenario import FOREVER
from support.sim.stored import Kept
from support.sim.track import Told, Track
from support.sim.windows import known, resumed

if TYPE_CHECKING:
    from poller.core.model import Lease
    from support.sim.books import Asked, Book, Line, Moment, Row
    from support.sim.documents import Document
    from support.sim.scenario import Limits, MappingPlan
    from support.sim.verdict import Verdict


@dataclass(slots=True, kw_only=True)
class Hold:
    """One hold of one shard for one mapping. Records are numbered in the order of their shard, in a lane in that of the lane.

    Attributes:
        epoch: of its lease.
        owner: the process that has it.
        first: where it begins, by the checkpoint.
        tracks: of its lanes.
        given_up: documents that arrived.
        got_at: when it got the lease, by the loop's clock.
        last_read: the last record that its reader got; None: nothing yet.
        polled: how many it got.
        full_at: when it was seen last that it held as much as it may, by the loop's clock.
        used: something has come of them.
        history: each thing that it may store: a position, and what is to be known of each lane then.
        over: an invocation was cut off, so there will be no other.
        returned: its holder gave the lease back.
        vague: not all that was given up without a document can be known: it began at a time, or ended in haste.
    """

    plan: MappingPlan
    book: Book
    owner: str
    epoch: int
    first: int
    tracks: tuple[Track, ...]
    got_at: float
    limits: Limits
    given_up: list[Document] = field(default_factory=list)
    last_read: int | None = None
    polled: int = 0
    full_at: float = -1.0
    used: bool = False
    history: set[tuple[int, tuple[Told, ...]]] = field(default_factory=set)
    over: bool = False
    returned: bool = False
    vague: bool = False

    def invoked(self, lane: int, asked: Asked, now: Moment) -> bool:
        """These records of a lane go to the function. True where the request id has to be a new one."""
        track = self.tracks[lane]
        if asked.run:
            self._begin(track, asked.run.start)
        if self.over:
            raise Broken("an invocation after one that was cut off")
        read = self.first if self.last_read is None else self.last_read + 1
        self.used = True
        full = self.limits.bytes_felt or self.full_at >= track.idle_since
        new = track.invoked(asked, now, last=self.book.closed and read >= len(self.book.entries), full=full)
        self.note()
        return new

    def answered(self, lane: int, verdict: Verdict, now: Moment) -> str:
        """What the running invocation of a lane came to; see `Track.answered`."""
        then = self.tracks[lane].answered(verdict, now)
        self.look(now.at)
        self.note()
        return then

    def documented(self, document: Document, now: Moment) -> bool:
        """A document arrived. False where it repeats one that had arrived."""
        if document in self.given_up:
            return False
        track = self.track(document)
        if document.first is not None:
            self._begin(track, track.row.index(document.first))
        track.documented(document, now)
        self.used = True
        self.given_up.append(document)
        self.note()
        return True

    def confirmed(self, document: Document) -> None:
        """The holder knows that the document has arrived."""
        self.track(document).confirmed(document)
        self.note()

    def track(self, document: Document) -> Track:
        """Of the lane whose records a document is of. Where there are windows there is one lane."""
        if document.first is None:
            return self.tracks[0]
        return self.tracks[self.book.lane(document.first, self.plan.factor)]

    def checkpoint(self, reached: int, now: Moment) -> None:
        """Everything before `reached` is said to be done, in whichever lane."""
        for track in self.tracks:
            self._begin(track, track.row.before(reached))
            track.checkpoint(track.row.before(reached), now)
        self.note()

    def note(self) -> None:
        """Remembers what may be stored as of now, by what has happened and by what its holder knows of that."""
        if self.plan.keeps:
            told = tuple(track.told() for track in self.tracks)
            self.history |= {(self.cursor, told), (self.settled, told)}

    def check_kept(self, reached: int | None, kept: tuple[Kept, ...]) -> None:
        """What is stored beside a position (None: before the first one) is as of one moment at which that was the position."""
        if not self.plan.keeps:
            if any(each != Kept() for each in kept):
                raise Broken(f"{self.owner} stores {kept}, and neither splits nor has windows")
            return
        if self.silent_drops:  # when was it that something was given up unseen? At least it has been the window's state
            if not any(
                known(got.window) == each.window for _, told in self.history for each, got in zip(told, kept, strict=True)
            ):
                raise Broken(f"{self.owner} stores {kept}, which never was")
            return
        for cursor, told in self.history:
            if reached in (None, cursor) and all(each.fits(got) for each, got in zip(told, kept, strict=True)):
                return
        now = [told for cursor, told in self.history if reached in (None, cursor)]
        raise Broken(f"{self.owner} stores {kept} with {reached}, but that was {now}")

    def released(self, durable: int | None) -> None:
        """The lease is given back, with everything before `durable` durably done; None: in a haste that excuses anything."""
        self.returned, self.vague = True, self.vague or durable is None
        if durable is not None and durable < self.settled:
            raise Broken(f"{self.owner} gives {self.book.shard} back at {durable}, though it has settled {self.settled} records")

    def left(self, kept: tuple[Kept, ...]) -> None:
        """The lease is given back in peace, with this in the store: how a batch was split is there for the next holder."""
        for track, got in zip(self.tracks, kept or (Kept(),) * len(self.tracks), strict=True):
            told = track.told()
            if not self.silent_drops and told.cuts and not replace(told, window=known(got.window)).fits(got):
                raise Broken(f"{self.owner} gives {self.book.shard} back with {got} in the store, which should be {told}")

    def look(self, now: float) -> None:
        """Whether it holds as much as it may."""
        if self.last_read is not None and self.last_read + 1 - self.settled >= self.limits.cap(self.plan):
            self.full_at = now

    @property
    def cursor(self) -> int:
        """Everything before it is resolved."""
        return min(track.row.number(track.cursor) for track in self.tracks)

    @property
    def settled(self) -> int:
        """Everything before it its holder takes for resolved."""
        return min(track.row.number(track.settled) for track in self.tracks)

    @property
    def silent(self) -> list[int]:
        """Records that were given up without a document."""
        return [track.row.numbers[index] for track in self.tracks for index in track.silent]

    @property
    def silent_drops(self) -> bool:
        """Whether records may be given up without a document; then the ledger learns of it only afterwards."""
        return not self.plan.destination and (self.plan.retries, self.plan.age) != (FOREVER, FOREVER)

    def _begin(self, track: Track, at: int) -> None:
        """A hold that begins at a time, not at a record, may have dropped some that are not known."""
        self.vague = self.vague or track.earliest is not None
        track.begin(at)


def new_hold(line: Line, lease: Lease, limits: Limits, now: float) -> Hold:
    """Of a lease that was just given: it begins after everything durable, or at the time at which the mapping does."""
    plan, book = line.plan, line.book
    earliest = line.earliest if line.durable is None else None
    kept = line.kept or (Kept(),) * plan.factor
    tracks = tuple(
        Track(
            plan=plan,
            row=row,
            cursor=row.before(line.reached),
            settled=row.before(line.reached),
            earliest=None if earliest is None else row.before(earliest),
            idle_since=now,
            windows=resumed(plan.tumbling, row, left.window),
            cuts=found(row, left),
        )
        for row, left in zip(book.rows(plan.factor), kept, strict=True)
    )
    hold = Hold(
        plan=plan,
        book=book,
        owner=lease.owner,
        epoch=lease.epoch,
        first=line.reached,
        tracks=tracks,
        got_at=now,
        limits=limits,
    )
    hold.note()
    return hold


def found(row: Row, left: Kept) -> Cuts:
    """Where the last holder of a lane has split a batch."""
    told = tuple(Cut(last=row.index(last), failures=failures, first=row.index(first)) for last, failures, first in left.cuts)
    return Cuts(left=list(told), told=told)
