from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Never

import pytest
from support.stage import virtually
from support.virtual import VirtualClock

from poller.core.model import MappingId
from poller.errors import Unavailable
from poller.observe.metrics import Metrics
from poller.observe.store import PATIENCE, ObservedStore
from poller.stores.memory import MemoryContents, MemoryStore

if TYPE_CHECKING:
    from poller.ports import Clock


class Silence:
    """Faults of a store that takes every call and answers none."""

    silent = True

    async def before(self, operation: str) -> None:
        if self.silent:
            await asyncio.Event().wait()

    async def after(self, operation: str) -> None:
        """Nothing goes wrong on the way back."""


def observed(clock: Clock, metrics: Metrics, silence: Silence, told: list[str | None]) -> ObservedStore:
    return ObservedStore(MemoryStore(MemoryContents(), clock, silence), metrics, clock, told.append)


@virtually
async def test_a_store_that_says_nothing_is_a_time_out_and_known_to_metrics_and_readiness() -> None:
    clock, metrics, silence = VirtualClock(), Metrics(), Silence()
    told: list[str | None] = []
    store = observed(clock, metrics, silence, told)
    began = clock.monotonic()
    with pytest.raises(Unavailable, match="has not answered") as caught:
        await store.stream(MappingId("m"))
    assert (caught.value.operation, caught.value.kind) == ("stream", "timeout")
    assert clock.monotonic() - began == pytest.approx(PATIENCE)
    assert metrics.registry.get_sample_value("poller_store_up") == 0
    assert told[-1] is not None
    silence.silent = False
    assert await store.stream(MappingId("m")) is None
    assert metrics.registry.get_sample_value("poller_store_up") == 1
    assert told[-1] is None


@virtually
async def test_a_cancelled_call_is_no_time_out() -> None:
    store = observed(VirtualClock(), Metrics(), Silence(), [])

    async def call() -> Never:
        await store.stream(MappingId("m"))
        raise AssertionError

    task = asyncio.create_task(call())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
