"""How many slots poll a queue: few while it is quiet, twice as many after each full receive, as many as may run while it is busy.

AWS Lambda begins with five and adds 300 concurrent invocations a minute (developer guide, "Scaling an SQS event source"). What
makes it careful there, functions that must be started and paid for, is no concern here: one that has no permit is not polled for.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PollerLimits:
    """Between which numbers a mapping scales.

    Attributes:
        quiet: polls that stay open on a quiet queue (Lambda's MinimumPollers).
        polls: polls open at the same time, at the most (MaximumPollers).
        batches: slots, so batches in hand, at the most (MaximumConcurrency).
    """

    quiet: int = 1
    polls: int
    batches: int

    @property
    def first(self) -> int:
        """Slots to begin with, and never fewer."""
        return min(self.quiet, self.polls, self.batches)


class PollerScale:
    """Counts slots, and those of them that poll or gather; the others have a batch in hand."""

    def __init__(self, limits: PollerLimits) -> None:
        self._limits = limits
        self.slots = 0
        self.polling = 0

    def started(self) -> None:
        """One more slot."""
        self.slots += 1

    def ended(self) -> None:
        """One slot less."""
        self.slots -= 1

    def polls(self) -> None:
        """A slot looks for messages from now on."""
        self.polling += 1

    def stops_polling(self) -> None:
        """It has a batch to do, or ends."""
        self.polling -= 1

    def missing(self, *, full: bool, free: bool) -> int:
        """How many slots to start now that one has a batch to do: two in its place where its last receive was full.

        `free`: more invocations could run at once. Else nobody is in a hurry, and just the quiet number is kept.
        """
        wanted = max(self._limits.first, self.polling + 2 if full and free else 0)
        return max(0, min(wanted - self.polling, self._limits.polls - self.polling, self._limits.batches - self.slots))

    def crowded(self) -> bool:
        """Whether as many poll as may: a slot that is done with its batch ends."""
        return self.polling >= self._limits.polls

    def superfluous(self) -> bool:
        """Whether a slot that polls and has found nothing may end."""
        return self.polling > self._limits.first
