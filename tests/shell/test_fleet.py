"""Functions that cannot be opened or closed: what runs goes on, and nothing of a change is lost."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any, Self

import pytest
from structlog.testing import capture_logs
from support.stage import virtually
from support.virtual import VirtualClock

from poller.compose import Parts, World, permit_limits
from poller.config import Config
from poller.errors import ConfigError
from poller.fleet import Fleet
from poller.function import Permits
from poller.observe.metrics import Metrics
from poller.readahead import MemoryBudget
from poller.sources.pace import ReadPace
from poller.stores.memory import MemoryContents, MemoryStore
from poller.wiring import Wiring

if TYPE_CHECKING:
    from poller.core.model import Answer, Invocation
    from poller.wiring import Worker


class Executors:
    """Makes executors that note what becomes of them, and raise where they are told to.

    Attributes:
        open: those that are, as the function's name and its time-out.
        refuse: names of functions that cannot be opened.
        stick: names of those that cannot be closed.
    """

    def __init__(self) -> None:
        self.open: set[tuple[str, float]] = set()
        self.refuse: set[str] = set()
        self.stick: set[str] = set()

    def make(self, worker: Worker) -> Noting:
        return Noting(self, worker)


class Noting:
    def __init__(self, all_of_them: Executors, worker: Worker) -> None:
        self._all = all_of_them
        self._me = (worker.name, worker.config.timeout)

    async def __aenter__(self) -> Self:
        if self._me[0] in self._all.refuse:
            raise OSError("no socket for you")
        self._all.open.add(self._me)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._all.open.discard(self._me)
        if self._me[0] in self._all.stick:
            raise OSError("it sticks")

    async def invoke(self, invocation: Invocation) -> Answer:
        raise AssertionError(invocation)


def config(**timeouts: float) -> Config:
    functions = {
        name: {"executor": "process", "runtime": "python", "handler": "app.handler", "timeout": timeout}
        for name, timeout in timeouts.items()
    }
    return Config.model_validate({"functions": functions, "event_source_mappings": []})


def fleet(executors: Executors, of: Config) -> Fleet:
    async def none(_: object) -> Any:
        raise AssertionError("no mapping, no Api")

    clock = VirtualClock()
    wiring = Wiring(kinesis=none, dynamodb=none, sqs=none, sns=none, s3=none, store=lambda _: store, executor=executors.make)
    store = MemoryStore(MemoryContents(), clock)
    return Fleet(
        Parts(
            config=of,
            world=World(clock=clock, rng=Random(1), wiring=wiring, owner="me"),
            metrics=Metrics(),
            store=store,
            permits=Permits(*permit_limits(of)),
            budget=MemoryBudget(1),
            pace=ReadPace(clock),
        )
    )


@virtually
async def test_where_a_new_function_cannot_be_opened_nothing_has_changed_and_the_next_reload_makes_up_for_it() -> None:
    executors = Executors()
    async with fleet(executors, config(a=1)) as running:
        executors.refuse = {"c"}
        with pytest.raises(ConfigError, match=r"^function c cannot be opened: OSError: no socket for you$"):
            await running.apply(config(a=2, b=1, c=1))
        assert executors.open == {("a", 1)}
        assert list(running.config.functions) == ["a"]
        executors.refuse.clear()
        await running.apply(config(a=2, b=1, c=1))
        assert executors.open == {("a", 2), ("b", 1), ("c", 1)}
    assert executors.open == set()


@virtually
async def test_a_changed_function_that_cannot_be_opened_is_tried_again_by_the_next_reload_and_holds_up_no_other() -> None:
    executors = Executors()
    async with fleet(executors, config(a=1, b=1)) as running:
        executors.refuse = {"a"}
        with pytest.raises(ConfigError, match=r"^function a cannot be opened"):
            await running.apply(config(a=2, b=2))
        assert executors.open == {("b", 2)}
        executors.refuse.clear()
        await running.apply(config(a=2, b=2))
        assert executors.open == {("a", 2), ("b", 2)}


@virtually
async def test_where_a_function_cannot_be_opened_at_the_start_the_others_are_closed_again() -> None:
    executors = Executors()
    executors.refuse = {"b"}
    with pytest.raises(ConfigError, match=r"^function b cannot be opened"):
        async with fleet(executors, config(a=1, b=1)):
            pass
    assert executors.open == set()


@virtually
async def test_a_function_that_cannot_be_closed_keeps_no_other_from_being_closed() -> None:
    executors = Executors()
    executors.stick = {"b", "c"}
    with capture_logs() as log:
        async with fleet(executors, config(a=1, b=1, c=1)) as running:
            await running.apply(config(a=1, b=1))
            await asyncio.sleep(0)
            assert executors.open == {("a", 1), ("b", 1)}
    assert executors.open == set()
    crashes = [(line["function"], line["what"], line["error"]) for line in log if line["event"] == "crashed"]
    assert crashes == [("c", "closing", "OSError: it sticks"), ("b", "closing", "OSError: it sticks")]
