"""The Kinesis Api in memory, when its connection misbehaves."""

from __future__ import annotations

import asyncio

import pytest
from support.virtual import VirtualClock

from poller.apis.memory_kinesis import MemoryKinesis
from poller.apis.memory_streams import Behaviour, MemoryStreams
from poller.core.model import ShardId
from poller.errors import IteratorExpired, Unavailable

FIRST = ShardId("shardId-000000000000")


class Faulty:
    """Faults that count calls, and fail where told to."""

    def __init__(self, *, before: Exception | None = None, after: Exception | None = None) -> None:
        self._before = before
        self._after = after
        self.calls: list[str] = []

    async def before(self, operation: str) -> None:
        self.calls.append(operation)
        if self._before is not None:
            raise self._before

    async def after(self, operation: str) -> None:
        if self._after is not None:
            raise self._after


async def call_all(api: MemoryKinesis, arn: str, iterator: str) -> list[Exception]:
    raised: list[Exception] = []
    for call in (
        lambda: api.describe_stream(arn),
        lambda: api.list_shards(arn),
        lambda: api.get_shard_iterator(arn, FIRST, "LATEST"),
        lambda: api.get_records(arn, iterator, 1),
    ):
        try:
            await call()
        except (Unavailable, IteratorExpired) as error:
            raised.append(error)
    return raised


OPERATIONS = ["DescribeStreamSummary", "ListShards", "GetShardIterator", "GetRecords"]


@pytest.mark.parametrize("where", ["before", "after"])
async def test_faults_reach_every_call_of_their_connection_and_no_other(where: str) -> None:
    sound = MemoryKinesis(VirtualClock())
    arn = sound.streams.create_stream("s")
    iterator = (await sound.get_shard_iterator(arn, FIRST, "TRIM_HORIZON")).iterator
    error = IteratorExpired("by fault")
    faults = Faulty(**{where: error})
    assert await call_all(sound.connect(faults), arn, iterator) == [error] * 4
    assert faults.calls == OPERATIONS
    assert await call_all(sound, arn, iterator) == []


async def test_a_lost_answer_has_cost_a_read_and_a_prevented_call_has_not() -> None:
    clock = VirtualClock()
    sound = MemoryKinesis(clock, streams=MemoryStreams(clock, Behaviour(reads_per_second=1)))
    arn = sound.streams.create_stream("s")
    iterator = (await sound.get_shard_iterator(arn, FIRST, "TRIM_HORIZON")).iterator
    lost = Unavailable("GetRecords", "timeout")
    with pytest.raises(Unavailable, match="timeout"):
        await sound.connect(Faulty(before=lost)).get_records(arn, iterator, 1)
    with pytest.raises(Unavailable, match="timeout"):
        await sound.connect(Faulty(after=lost)).get_records(arn, iterator, 1)
    with pytest.raises(Unavailable, match="Throughput"):
        await sound.get_records(arn, iterator, 1)


async def test_a_connection_that_is_cut_reaches_nothing_more_and_the_others_go_on() -> None:
    api = MemoryKinesis(VirtualClock())
    arn = api.streams.create_stream("s")
    other = api.connect()
    iterator = (await api.get_shard_iterator(arn, FIRST, "TRIM_HORIZON")).iterator
    api.cut()
    kinds = [error.kind for error in await call_all(api, arn, iterator) if isinstance(error, Unavailable)]
    assert kinds == ["connection"] * 4
    assert await call_all(other, arn, iterator) == []


async def test_an_answer_on_its_way_is_lost_when_its_connection_is_cut() -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Faulty):
        async def after(self, operation: str) -> None:
            arrived.set()
            await go_on.wait()

    api = MemoryKinesis(VirtualClock(), Slow())
    arn = api.streams.create_stream("s")

    async def describe() -> str:
        with pytest.raises(Unavailable) as caught:
            await api.describe_stream(arn)
        return caught.value.kind

    async with asyncio.TaskGroup() as group:
        described = group.create_task(describe())
        await arrived.wait()
        api.cut()
        go_on.set()
    assert described.result() == "connection"


async def test_a_caller_that_never_waits_still_lets_others_run() -> None:
    api = MemoryKinesis(VirtualClock())
    arn = api.streams.create_stream("s")
    iterator = (await api.get_shard_iterator(arn, FIRST, "TRIM_HORIZON")).iterator
    others = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0)).add_done_callback(lambda _: others.set())
        for _ in range(10):
            await api.get_records(arn, iterator, 1)
        assert others.is_set()
