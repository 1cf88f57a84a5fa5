"""A Kinesis under test: the Api, the other side that makes streams and puts records, and the service's clock."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from support.aws import WallClock, encoded, streams, until

from poller.apis.client import AwsClients, AwsSettings
from poller.apis.kinesis import BotoKinesisApi
from poller.core.model import ShardId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from support.servers import Server

    from poller.ports import Clock
    from poller.services import KinesisApi, KinesisPage, KinesisRecord

names = (f"stream-{number}" for number in itertools.count())


class Producer(Protocol):
    """Makes streams and puts records: `support.aws.Streams`, or the memory's own methods."""

    async def create(self, name: str, shards: int = 1) -> str: ...

    async def delete(self, arn: str) -> None: ...

    async def put(self, arn: str, key: str, data: bytes) -> tuple[str, str]: ...

    async def put_many(self, arn: str, records: Sequence[tuple[str, bytes]]) -> list[tuple[str, str]]: ...

    async def split(self, arn: str, shard: str) -> None: ...

    async def merge(self, arn: str, shard: str, adjacent: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinesis:
    """One service: the Api under test, the other side, and the service's clock."""

    api: KinesisApi
    producer: Producer
    clock: Clock

    async def stream(self, *, shards: int = 1, records: int = 0) -> str:
        """A stream of its own for a test, with `r0`, `r1`, ... in its first shard where it has just one."""
        arn = await self.producer.create(next(names), shards)
        if records:
            await self.producer.put_many(arn, [("key", f"r{index}".encode()) for index in range(records)])
        return arn

    async def horizon(self, arn: str, shard: str = "") -> str:
        """An iterator at the first record of a shard; of the only shard by default."""
        shard_id = ShardId(shard) if shard else (await self.api.list_shards(arn))[0].id
        return (await self.api.get_shard_iterator(arn, shard_id, "TRIM_HORIZON")).iterator

    async def read(self, arn: str, iterator: str, limit: int = 1_000) -> list[KinesisRecord]:
        """All records from an iterator to the tip, or to the end of the shard."""
        records: list[KinesisRecord] = []
        following: str | None = iterator
        while following is not None:
            page = await self.api.get_records(arn, following, limit)
            records += page.records
            following = page.next_iterator if page.records or page.behind > 0 else None
        return records

    async def pages_to_the_end(self, arn: str, iterator: str) -> list[KinesisPage]:
        """All pages of a closed shard. Fails where the shard has no end."""
        pages = [await self.api.get_records(arn, iterator, 2)]
        while (following := pages[-1].next_iterator) is not None:
            assert len(pages) < 20, "the closed shard does not end"
            pages.append(await self.api.get_records(arn, following, 2))
        return pages

    async def apart(self, arn: str, count: int) -> list[KinesisRecord]:
        """Puts records into a new stream until `count` of them have arrival times of their own, and returns those."""

        async def put_one_and_read() -> list[KinesisRecord]:
            await self.producer.put(arn, "key", b"tick")
            return _first_of_each_time(await self.read(arn, await self.horizon(arn)))

        found: list[KinesisRecord] = await until(lambda records: len(records) >= count, put_one_and_read)
        return found[:count]


@asynccontextmanager
async def served_by(server: Server) -> AsyncIterator[Kinesis]:
    """A real server, and the Api through aiobotocore."""
    async with AwsClients() as clients, streams(server.url) as producer:
        api = BotoKinesisApi(await clients.client("kinesis", AwsSettings(endpoint_url=server.url)), WallClock())
        yield Kinesis(api=api, producer=producer, clock=WallClock())


def _first_of_each_time(records: list[KinesisRecord]) -> list[KinesisRecord]:
    by_time: dict[float, KinesisRecord] = {}
    for record in records:
        by_time.setdefault(record["ApproximateArrivalTimestamp"], record)
    return list(by_time.values())


def data_of(records: Sequence[KinesisRecord]) -> list[str]:
    return [record["Data"] for record in records]


def numbers(count: int, start: int = 0) -> list[str]:
    return [encoded(f"r{index}".encode()) for index in range(start, start + count)]
