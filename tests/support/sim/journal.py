"""What happened in a run, line by line, and its digest."""

from __future__ import annotations

import asyncio
from collections import deque
from hashlib import sha256


class Violation(AssertionError):
    """A promise was broken. The message has the seed, what is wrong, the last lines of the trace, and how to see it again."""


class Broken(Exception):
    """What is wrong, in one sentence: raised inside the ledger, which keeps the first."""


class Trace:
    """The lines of a run, stamped with virtual time.

    Attributes:
        lines: the last ones, or all of them.
    """

    def __init__(self, keep: int | None = 80) -> None:
        self.lines: deque[str] = deque(maxlen=keep)
        self._hash = sha256()

    def note(self, line: str) -> None:
        """Something that every run of the seed must repeat."""
        stamped = f"{asyncio.get_running_loop().time():12.6f}  {line}"
        self._hash.update(stamped.encode() + b"\n")
        self.lines.append(stamped)

    def aside(self, line: str) -> None:
        """Something for the reader only: a log line of the daemon."""
        self.lines.append(f"{asyncio.get_running_loop().time():12.6f}      {line}")

    @property
    def digest(self) -> str:
        """Of all lines that were ever noted."""
        return self._hash.hexdigest()
