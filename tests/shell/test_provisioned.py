"""A mapping is enabled once the workers that its function is always to have were tried; a drain does not wait for them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from support.doubles import ScriptedExecutor
from support.processes import Process, World
from support.queueing import Poller, QueueWorld
from support.stage import now, virtually

from poller.compose import tell_if_not_warm
from poller.core.model import Errored
from poller.observe.function import FunctionObserver
from poller.observe.metrics import Metrics
from poller.ports import Provisioned

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable

    from poller.core.model import Answer

rule = pytest.mark.rule
WARM = 30.0
NO_MODULE = Errored("function_error", b'{"errorType":"ImportError","errorMessage":"no module"}')


class SlowToWarm(ScriptedExecutor):
    """Its workers are tried half a minute after the first who asks."""

    warming: Future[Answer | None] | None = None

    def warm(self) -> Future[Answer | None]:
        if self.warming is None:
            loop = asyncio.get_running_loop()
            self.warming = loop.create_future()
            loop.call_later(WARM, self.warming.set_result, NO_MODULE)
        return self.warming


def of_a_stream() -> Process:
    world = World()
    world.put("record")
    return Process(world=world, executor=SlowToWarm())


def of_a_queue() -> Poller:
    world = QueueWorld()
    arn = world.queue()
    world.send(arn, "message")
    return Poller(world=world, arn=arn, executor=SlowToWarm())


KINDS = pytest.mark.parametrize("make", [of_a_stream, of_a_queue])


@rule("function.provisioned-concurrency")
@KINDS
@virtually
async def test_nothing_is_read_and_the_mapping_is_not_enabled_before_the_first_round_is_over(
    make: Callable[[], Process | Poller],
) -> None:
    mapping = make()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(mapping.run())
        await asyncio.sleep(WARM - 1)
        assert mapping.count("mapping_state", state="Enabled") == 0
        assert mapping.count("mapping_state", state="Creating") == 1
        await asyncio.sleep(5)
        assert mapping.count("mapping_state", state="Enabled") == 1
        mapping.drain.start()
        await running
    assert [call.began >= WARM for call in mapping.executor.calls] == [True]


@KINDS
@virtually
async def test_a_drain_does_not_wait_for_it(make: Callable[[], Process | Poller]) -> None:
    mapping = make()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(mapping.run())
        await asyncio.sleep(1)
        mapping.drain.start()
        await running
        assert now() == pytest.approx(1)
    assert mapping.executor.calls == []


@virtually
async def test_what_was_wrong_is_said_in_the_log() -> None:
    observe, loop = FunctionObserver(Metrics(), "orders"), asyncio.get_running_loop()
    futures: list[Future[Answer | None]] = [loop.create_future() for _ in range(3)]
    with capture_logs() as log:
        for future in futures:
            future.add_done_callback(lambda tried: tell_if_not_warm(observe, tried))
        futures[0].set_result(NO_MODULE)
        futures[1].set_result(None)
        futures[2].cancel()
        await asyncio.sleep(0)
    assert log == [
        {
            "event": "provisioned_failed",
            "log_level": "warning",
            "function": "orders",
            "reason": "FUNCTION_ERROR_INIT_FAILURE",
            "error": "ImportError: no module",
        }
    ]


def test_an_executor_says_by_its_method_that_it_can_be_warmed() -> None:
    assert isinstance(SlowToWarm(), Provisioned)
    assert not isinstance(ScriptedExecutor(), Provisioned)
