"""How often a function has seen a message, beside how often the queue has handed it out.

The queue's receive count also rises for what the function never saw: a drain, a crash, another consumer. Counted are the
invocations that this process has made and the function has run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.core.model import Record

MOST: Final = 100_000
"""Messages that are remembered; of more the longest known are forgotten."""


class Sightings:
    """Remembers messages that came back from the function and are not done."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._seen: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def ran(self, records: Sequence[Record]) -> None:
        """The function has seen these."""
        for record in records:
            self._seen[record.id] = self._seen.pop(record.id, 0) + 1
        while len(self._seen) > self._most:
            del self._seen[next(iter(self._seen))]

    def of(self, record: Record) -> int:
        """How often the function has seen this message."""
        return self._seen.get(record.id, 0)

    def forget(self, records: Sequence[Record]) -> None:
        """These are done, or given up."""
        if self._seen:
            for record in records:
                self._seen.pop(record.id, None)

    def fields(self, records: Sequence[Record], *, ran: bool = False) -> dict[str, object]:
        """For a log line: of the message with the highest receive count; `ran`: the function sees it at this moment."""
        most = max(records, key=lambda record: record.receives)
        return {"invocations": self.of(most) + ran}
