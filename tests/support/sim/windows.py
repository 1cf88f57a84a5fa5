"""What Lambda promises of tumbling windows, as a watching machine: one lane's windows, and the state that goes through them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from support.sim.journal import Broken
from support.sim.stored import NOTHING, Shown
from support.virtual import EPOCH

if TYPE_CHECKING:
    from support.sim.books import Moment, Row

SLACK = 1e-3
SKEW = 2.0
"""Seconds after its end from which a window may be closed although no later record has come."""


@dataclass(slots=True, kw_only=True)
class Windows:
    """Of one lane of one hold.

    Attributes:
        seconds: how long each is; 0: there are none.
        open: the window that the function was shown last, or will be next, with the state that it has to be shown.
        begun: one that may be open as well, with nothing done in it.
    """

    seconds: int
    row: Row
    open: Shown | None = None
    begun: Shown | None = None

    @property
    def told(self) -> Shown | None:
        """What the store has to say."""
        return known(self.open)

    def of(self, index: int) -> Shown:
        """The window in which a record is by its arrival."""
        start = self.row.entry(index).arrived_at // self.seconds * self.seconds
        return Shown(start=start, end=start + self.seconds)

    def check(self, run: range, shown: Shown | None) -> None:
        """These records are invoked, and the function is shown this."""
        if not self.seconds or shown is None:
            if self.seconds or shown is not None:
                raise Broken(f"a function with windows of {self.seconds} s is shown {shown}")
            return
        window = self.open or self.of(run.start)
        late = [index for index in run if self.row.entry(index).arrived_at >= window.end]
        if late:
            raise Broken(f"records {late} are of a later window than {window}, which is not closed yet")
        if shown != window:
            raise Broken(f"the function is shown {shown}, not {window}")
        self.open, self.begun = window, None

    def check_final(self, at: int, shown: Shown, now: Moment, *, last: bool) -> None:
        """The function is told that its window is over; `at`: the next record; `last`: there will be no more."""
        window = self.open or self.begun
        if window is None or replace(shown, final=False) != window:
            raise Broken(f"the function is to close {shown}, but open is {window}")
        over = self.over(at, window)
        if not over and not last and now.highest < window.end + SKEW - SLACK:
            raise Broken(f"{window} is closed at {now.unix}, and records may come")
        if not over and at < len(self.row) and now.highest <= now.at + EPOCH + SLACK:  # its clock was right all the time
            raise Broken(f"{window} is closed, though record {at} is in it")
        self.open, self.begun = window, None

    def over(self, at: int, window: Shown | None = None) -> bool:
        """Whether the record at this place is in a later window."""
        window = window or self.open
        return window is not None and at < len(self.row) and self.row.entry(at).arrived_at >= window.end

    def returned(self, state: bytes) -> None:
        """What the function is to be shown next."""
        if self.open is not None:
            self.open = replace(self.open, state=state)

    def documented(self, *, final: bool) -> Shown | None:
        """What a document says of the open window."""
        return None if self.open is None else replace(self.open, state=NOTHING, final=final)

    def closed(self) -> None:
        """The final invocation has done it, or was given up."""
        self.open = self.begun = None

    def passed(self, index: int) -> None:
        """A record was given up before it was invoked; its window may have been opened for it."""
        if self.seconds and self.open is None:
            self.begun = self.of(index)


def known(window: Shown | None) -> Shown | None:
    """A window in which nothing is done yet is as good as none."""
    return None if window is None or window.state == NOTHING else window


def resumed(seconds: int, row: Row, stored: Shown | None) -> Windows:
    """Of a new hold, by what the last one left."""
    return Windows(seconds=seconds, row=row, open=known(stored), begun=stored)
