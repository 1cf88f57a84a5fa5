"""The observer: told by the ends of the world what was read, invoked, answered, reported and stored, it knows what may be."""

from __future__ import annotations

import asyncio
import base64
from collections import defaultdict
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import orjson

from support.sim.books import Book, Call, Entry, Line, Tally
from support.sim.documents import read_document
from support.sim.hold import Hold
from support.sim.trace import Broken
from support.sim.verdict import verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from poller.core.model import Answer, Checkpoint, Invocation, Lease, ShardId
    from poller.ports import KinesisShard
    from support.sim.process import Process
    from support.sim.scenario import FunctionPlan, MappingPlan, Put, Scenario
    from support.sim.trace import Trace

P = ParamSpec("P")
R = TypeVar("R")


def watched(check: Callable[Concatenate[Ledger, P], R]) -> Callable[Concatenate[Ledger, P], R | None]:
    """What the check finds ends the run, and not the daemon's code that called it."""

    @wraps(check)
    def watching(ledger: Ledger, /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return check(ledger, *args, **kwargs)
        except Broken as broken:
            ledger.fail(str(broken))
            return None

    return watching


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A LATEST iterator: the server's time, and how many records the shard had."""

    server_time: float
    records: int


class Ledger:
    """What is known of the world, and the checks.

    Attributes:
        broken: done with the first thing that is wrong.
    """

    def __init__(self, scenario: Scenario, trace: Trace) -> None:
        self.trace = trace
        self.broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.books: dict[tuple[str, ShardId], Book] = {}
        self.lines: dict[tuple[str, ShardId], Line] = {}
        self.tallies: defaultdict[tuple[str, str], Tally] = defaultdict(Tally)
        self._plans = scenario.mappings
        self._concurrency = scenario.concurrency
        self._running: dict[Call, None] = {}
        self._request_ids: set[str] = set()
        self._holds: dict[tuple[str, str, ShardId], Hold] = {}
        self._granted: dict[Lease, Hold] = {}

    def fail(self, what: str) -> None:
        """The run is over: this is wrong."""
        self.trace.note(f"VIOLATION {what}")
        if not self.broken.done():
            self.broken.set_result(what)
