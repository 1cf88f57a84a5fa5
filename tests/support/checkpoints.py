"""A configuration with a store that holds checkpoints, for the commands that look at it: SQLite in a folder, or a server."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from poller.clock import SystemClock
from poller.config import load
from poller.config.event_source import default_uuid
from poller.core.model import Checkpoint, ShardId, StreamId, position
from poller.wiring import STORES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from poller.edits import EditableStore

T = TypeVar("T")

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
STREAM = StreamId(arn=ARN, created_at=1_700_000_000.5)
ORDERS, COPY = default_uuid("orders"), default_uuid("copy")
ONE, TWO, THREE = (ShardId(f"shardId-00000000000{number}") for number in (1, 2, 3))
HOLDER = "replica:1:aa"


def at(number: int, extra: bytes = b"") -> Checkpoint:
    """The checkpoint at this sequence number."""
    return Checkpoint(position=position(str(number)), extra=extra)


@dataclass(frozen=True, slots=True)
class Place:
    """A configuration file. `url`: of its store."""

    folder: Path
    url: str = "sqlite:///poller.db"

    @property
    def config(self) -> str:
        """Its path; written anew."""
        path = self.folder / "poller.yaml"
        function = {"executor": "process", "runtime": "python", "handler": "app.handler", "code": str(self.folder)}
        streams = [self._stream("orders", "f"), self._stream("copy", "g"), self._stream("other", "f", stream="payments")]
        queue = {"name": "mails", "function_name": "f", "event_source_arn": "arn:aws:sqs:us-east-1:000000000000:mails"}
        document = {
            "store": {"url": self.url},
            "http": {"listen": "127.0.0.1:1"},
            "functions": {"f": function, "g": function},
            "event_source_mappings": [*streams, queue],
        }
        path.write_text(json.dumps(document))
        return str(path)

    def _stream(self, name: str, function: str, stream: str = "orders") -> dict[str, Any]:
        arn = ARN.replace("orders", stream)
        return {"name": name, "function_name": function, "event_source_arn": arn, "starting_position": "TRIM_HORIZON"}

    def run(self, job: Callable[[EditableStore], Awaitable[T]]) -> T:
        """Something done to the store by a hand of its own."""

        async def connected() -> T:
            config = load(self.folder / "poller.yaml", SystemClock()).store
            async with STORES[config.scheme](config, SystemClock()) as store:
                return await job(store)

        self.config  # noqa: B018  (it is written)
        return asyncio.run(connected())

    def enrol(self) -> None:
        """The mapping `orders` is known, with ONE at 100 and TWO at 200, where a lane remembers something."""

        async def job(store: EditableStore) -> None:
            await store.enroll(ORDERS, STREAM, {ONE: at(100), TWO: at(200, b'{"memos":{"0":{"cuts":[["7",1]]}}}')})

        self.run(job)

    def hold(self, shard: ShardId = TWO) -> None:
        """HOLDER takes it, for long."""

        async def job(store: EditableStore) -> None:
            assert await store.acquire(ORDERS, shard, HOLDER, 600) is not None

        self.run(job)

    def finish(self, shard: ShardId = ONE) -> None:
        """It is finished."""

        async def job(store: EditableStore) -> None:
            lease = await store.acquire(ORDERS, shard, HOLDER, 600)
            assert lease is not None
            await store.finish(lease)

        self.run(job)
