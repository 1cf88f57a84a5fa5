"""Handlers as people have them on Lambda, with aws-lambda-powertools' utilities for queues, unchanged."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from e2e.scene import FUNCTIONS
from support.valkey import Valkey, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.scene import Fields, Scene
    from support.daemon import Daemon

    from poller.services import SqsAttribute


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Valkey]:
    with running(Valkey(folder=tmp_path / "valkey", password="hunter2")) as server:
        yield server


async def test_the_batch_processor_runs_unchanged_and_only_what_it_reports_comes_again(scene: Scene) -> None:
    queue, dead_letters = await scene.redriven(2)
    author: dict[str, SqsAttribute] = {"author": {"DataType": "String", "StringValue": "Jürgen"}}
    for body in ('{"id": 1}', "no JSON", '{"id": 2}'):
        await scene.queues.send(queue, body, author)
    await scene.send(queue, "without its author")
    daemon = await scene.running(scene.queue_mapping(queue, release="at_once"), functions=_functions("batch"))

    await scene.emptied(queue)
    await daemon.until(lambda: len(_logged(daemon, "order")) == 2, "the log of the function is there")

    assert await daemon.stopped() == 0
    assert {(each["order"], each["author"], each["receives"]) for each in _logged(daemon, "order")} == {
        (1, "Jürgen", 1),
        (2, "Jürgen", 1),
    }
    assert set(await scene.queues.take(dead_letters, 2)) == {"no JSON", '{"id": "without its author"}'}
    assert "partial" in {line["outcome"] for line in daemon.lines("batch", receives=1)}


@pytest.mark.slow
async def test_the_fifo_processor_runs_unchanged_and_groups_keep_their_order(scene: Scene) -> None:
    queue = await scene.queue(".fifo")
    orders = [(group, place) for place in range(5) for group in "ab"]
    failing = {("a", 1), ("a", 2), ("b", 3)}
    bodies = [json.dumps({"id": place, "fails": (group, place) in failing}) for group, place in orders]
    await scene.queues.send_many(queue, bodies, [group for group, _ in orders])
    daemon = await scene.running(scene.queue_mapping(queue, release="at_once"), functions=_functions("fifo"))

    await scene.emptied(queue)
    await daemon.until(lambda: len(_logged(daemon, "order")) == len(orders), "the log of the function is there")

    assert await daemon.stopped() == 0
    for group in "ab":
        assert [each["order"] for each in _logged(daemon, "order") if each["group"] == group] == list(range(5))
    assert {line["outcome"] for line in daemon.lines("batch")} <= {"success", "partial", "failed"}


@pytest.mark.slow
async def test_with_the_idempotency_utility_on_redis_a_message_that_is_delivered_twice_runs_once(
    scene: Scene, redis: Valkey
) -> None:
    queue = await scene.queue()
    await scene.send(queue, *range(5))
    functions = _functions("once", REDIS_URL=redis.url)
    daemon = await scene.running(scene.queue_mapping(queue, release="at_once"), functions=functions)

    await scene.emptied(queue)
    await daemon.until(lambda: len(_logged(daemon, "done")) == 5, "the log of the function is there")

    now = await daemon.metrics()
    assert await daemon.stopped() == 0
    assert now.value("poller_events_invoked_total", mapping="orders") == 10, "each is delivered twice"
    assert Counter(each["order"] for each in _logged(daemon, "charged")) == Counter(map(str, range(5)))
    assert Counter(each["order"] for each in _logged(daemon, "done")) == Counter(map(str, range(5)))
    with redis.admin() as client:
        assert client.dbsize() == 5


def _functions(module: str, **environment: str) -> Fields:
    return {
        "orders": {
            "executor": "process",
            "runtime": "python",
            "handler": f"{module}.lambda_handler",
            "code": str(FUNCTIONS / "powertools_queues"),
            "timeout": 30,
            "maximum_concurrency": 1,
            "environment": environment,
        }
    }


def _logged(daemon: Daemon, message: str) -> list[dict[str, Any]]:
    """What the handler's logger has printed under this message; the runtime prints tracebacks, which are no JSON."""
    lines = daemon.lines("function", function="orders", stream="stdout")
    return [line["json"] for line in lines if "json" in line and line["json"]["message"] == message]
