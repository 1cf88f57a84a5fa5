"""A store that is watched: each operation is timed, and whether the store answers is known to metrics and readiness."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self, TypeVar

from poller.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from poller.core.model import Checkpoint, Lease, MappingId, ShardId, ShardState, StreamId
    from poller.observe.metrics import Metrics
    from poller.ports import Clock, Enrolment, Store

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds that a store may take for one operation: a silent one must not hold up its own recovery, nor hide that it is silent."""


class ObservedStore:
    """A `Store` around another. `answers` is told after each operation: None for yes, else what went wrong."""

    def __init__(self, store: Store, metrics: Metrics, clock: Clock, answers: Callable[[str | None], None]) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._answers = answers

    async def __aenter__(self) -> Self:
        await self._store.__aenter__()
        self._tell(None)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._store.__aexit__(*exc_info)

    async def stream(self, mapping: MappingId) -> StreamId | None:
        """See `Store.stream`."""
        return await self._watch("stream", self._store.stream(mapping))

    async def enroll(self, mapping: MappingId, stream: StreamId, starts: Mapping[ShardId, Checkpoint]) -> Enrolment:
        """See `Store.enroll`."""
        return await self._watch("enroll", self._store.enroll(mapping, stream, starts))

    async def shards(self, mapping: MappingId) -> dict[ShardId, ShardState]:
        """See `Store.shards`."""
        return await self._watch("shards", self._store.shards(mapping))

    async def acquire(self, mapping: MappingId, shard: ShardId, owner: str, ttl: float) -> Lease | None:
        """See `Store.acquire`."""
        return await self._watch("acquire", self._store.acquire(mapping, shard, owner, ttl))

    async def renew(self, lease: Lease, ttl: float) -> None:
        """See `Store.renew`."""
        await self._watch("renew", self._store.renew(lease, ttl))

    async def release(self, lease: Lease) -> None:
        """See `Store.release`."""
        await self._watch("release", self._store.release(lease))

    async def load(self, lease: Lease) -> Checkpoint | None:
        """See `Store.load`."""
        return await self._watch("load", self._store.load(lease))

    async def advance(self, lease: Lease, to: Checkpoint) -> bool:
        """See `Store.advance`."""
        return await self._watch("advance", self._store.advance(lease, to))

    async def finish(self, lease: Lease) -> None:
        """See `Store.finish`."""
        await self._watch("finish", self._store.finish(lease))

    async def _watch(self, operation: str, call: Awaitable[T]) -> T:
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await call
        except TimeoutError:
            self._tell(f"{operation}: no answer within {PATIENCE:g} s")
            raise Unavailable(operation, "timeout", f"the store has not answered within {PATIENCE:g} s") from None
        except Unavailable as error:
            self._tell(str(error))
            raise
        finally:
            self._metrics.store_operation(operation, self._clock.monotonic() - started)
        self._tell(None)
        return answer

    def _tell(self, problem: str | None) -> None:
        self._metrics.store_up(up=problem is None)
        self._answers(problem)
