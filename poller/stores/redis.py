"""A store in a Redis or Valkey server: shared by processes on many hosts.

Each method is one atomic step in the server, which compares the lease, writes, and refuses to go back (`redis_scripts`). Times of
leases are the server's own. How durable a write is when its call returns is the server's configuration: see `docs/stores.md`.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Self, cast

from poller.core.model import Checkpoint, Lease, MappingId, Position, ShardId, ShardState, StreamId
from poller.errors import LeaseLost
from poller.ports import Enrolment
from poller.stores.redis_edits import FORGET, REWRITE
from poller.stores.redis_pipeline import Pipeline, Request
from poller.stores.redis_scripts import ACQUIRE, ADVANCE, ENROLL, FINISH, RELEASE, RENEW, SHARDS
from poller.stores.redis_servers import servers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from poller.edits import Rewrite
    from poller.stores.redis_scripts import Script

_HELD = 1
_NOT_FORWARD = 2

_KEY = "poller:{", "}:mapping"
_ANY = MappingId("*")


class RedisStore:
    """The port `Store` on a Redis server.

    Entering it raises `ConfigError` where the URL can never work; it does not wait for the server. Whatever the server or the
    way to it does wrong is `Unavailable`, after `redis_servers.PATIENCE` seconds at the latest, or twice that where another
    exchange was under way. The next call connects anew. A write whose answer was lost may have happened.

    Args:
        url: `redis://[USER:PASSWORD@]HOST[:PORT][/DB]`; `rediss://...` for TLS; `redis+sentinel://HOST:PORT,HOST:PORT/SERVICE[/DB]`;
            `unix:///PATH`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._pipeline: Pipeline | None = None

    async def __aenter__(self) -> Self:
        self._servers = servers(self._url)
        self._pipeline = Pipeline(self._servers)
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self._tasks.create_task(self._pipeline.run(), name="redis-store")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Waits until all that was called is answered, and closes the connection."""
        pipeline, self._pipeline = self._opened(), None
        pipeline.close()
        await self._tasks.__aexit__(None, None, None)  # what ended the context is no failure of this task
        await self._servers.close()

    async def stream(self, mapping: MappingId) -> StreamId | None:
        """See `Store.stream`."""
        answer = await self._call("stream", None, b"HMGET", key(mapping), b"stream_arn", b"stream_created_at")
        arn, created_at = cast("list[bytes | None]", answer)
        return None if arn is None or created_at is None else _stream(arn, created_at)

    async def enroll(self, mapping: MappingId, stream: StreamId, starts: Mapping[ShardId, Checkpoint]) -> Enrolment:
        """See `Store.enroll`."""
        checkpoints = [part for shard, at in starts.items() for part in (shard.encode(), at.position.encode(), at.extra)]
        created_at = repr(stream.created_at).encode()
        answer = await self._call("enroll", ENROLL, key(mapping), stream.arn.encode(), created_at, *checkpoints)
        if answer is None:
            return Enrolment(stream=stream, created=True)
        arn, created_at = cast("list[bytes]", answer)
        return Enrolment(stream=_stream(arn, created_at), created=False)

    async def shards(self, mapping: MappingId) -> dict[ShardId, ShardState]:
        """See `Store.shards`."""
        now, lengths, text = cast("tuple[int, bytes, bytes]", await self._call("shards", SHARDS, key(mapping)))
        fields = _pieces(text, map(int, lengths.split()))
        known: dict[bytes, dict[bytes, bytes]] = {}
        for name, value in zip(fields, fields, strict=True):
            shard, slash, what = name.rpartition(b"/")
            if slash:
                known.setdefault(shard, {})[what] = value
        return {ShardId(shard.decode()): _state(stored, now) for shard, stored in known.items()}

    async def acquire(self, mapping: MappingId, shard: ShardId, owner: str, ttl: float) -> Lease | None:
        """See `Store.acquire`."""
        epoch = await self._call("acquire", ACQUIRE, key(mapping), shard.encode(), owner.encode(), _milliseconds(ttl))
        if epoch is None:
            return None
        return Lease(mapping=mapping, shard=shard, owner=owner, epoch=int(cast("bytes", epoch)))

    async def renew(self, lease: Lease, ttl: float) -> None:
        """See `Store.renew`."""
        await self._call_held("renew", RENEW, lease, _milliseconds(ttl))

    async def release(self, lease: Lease) -> None:
        """See `Store.release`."""
        await self._call("release", RELEASE, *_held(lease))

    async def load(self, lease: Lease) -> Checkpoint | None:
        """See `Store.load`."""
        hash_, shard, mine = _held(lease)
        fields = shard + b"/lease", shard + b"/position", shard + b"/extra"
        held, at, extra = cast("list[bytes | None]", await self._call("load", None, b"HMGET", hash_, *fields))
        if held != mine:
            raise _lost(lease)
        return _checkpoint(at, extra)

    async def advance(self, lease: Lease, to: Checkpoint) -> bool:
        """See `Store.advance`."""
        return await self._call_held("advance", ADVANCE, lease, to.position.encode(), to.extra) != _NOT_FORWARD

    async def finish(self, lease: Lease) -> None:
        """See `Store.finish`."""
        await self._call_held("finish", FINISH, lease)

    async def mappings(self) -> dict[MappingId, StreamId]:
        """See `EditableStore.mappings`. Not one step: what comes or goes meanwhile may be in it or not."""
        found: dict[MappingId, StreamId] = {}
        cursor = b"0"
        while True:
            answer = await self._call("mappings", None, b"SCAN", cursor, b"MATCH", key(_ANY), b"COUNT", b"1000")
            cursor, keys = cast("tuple[bytes, list[bytes]]", answer)
            for mapping in map(_mapping, keys):
                if (stream := await self.stream(mapping)) is not None:
                    found[mapping] = stream
            if cursor == b"0":
                return dict(sorted(found.items()))

    async def rewrite(self, mapping: MappingId, stream: StreamId, shards: Mapping[ShardId, Rewrite]) -> bool:
        """See `EditableStore.rewrite`."""
        wishes = [part for shard, wish in shards.items() for part in (shard.encode(), *_wish(wish))]
        created_at = repr(stream.created_at).encode()
        return bool(await self._call("rewrite", REWRITE, key(mapping), stream.arn.encode(), created_at, *wishes))

    async def forget(self, mapping: MappingId, *, fence: bool = False) -> bool:
        """See `EditableStore.forget`."""
        return bool(await self._call("forget", FORGET, key(mapping), b"%d" % fence))

    async def _call_held(self, operation: str, script: Script, lease: Lease, *arguments: bytes) -> object:
        """Runs a script that answers 0 where the lease is lost."""
        answer = await self._call(operation, script, *_held(lease), *arguments)
        if not answer:
            raise _lost(lease)
        return answer

    async def _call(self, operation: str, script: Script | None, *arguments: bytes) -> object:
        return await self._opened().call(operation, Request(script, arguments))

    def _opened(self) -> Pipeline:
        if self._pipeline is None:
            raise RuntimeError("the store is used outside of its context")
        return self._pipeline


def key(mapping: MappingId) -> bytes:
    """The hash that holds everything of a mapping."""
    return mapping.join(_KEY).encode()


def _mapping(of: bytes) -> MappingId:
    return MappingId(of.decode().removeprefix(_KEY[0]).removesuffix(_KEY[1]))


def _wish(wish: Rewrite) -> Iterator[bytes]:
    """As `redis_edits.REWRITE` has it."""
    seen = wish.seen or ShardState()
    yield b"%d" % (wish.seen is not None)
    yield b"%d" % seen.epoch
    for at, finished in ((seen.checkpoint, seen.finished), (wish.to, wish.finished)):
        yield from (b"%d" % (at is not None), at.position.encode() if at else b"", at.extra if at else b"", b"%d" % finished)
    yield from (b"%d" % wish.fence, b"%d" % wish.moved)


def _held(lease: Lease) -> tuple[bytes, bytes, bytes]:
    """Where a lease is stored, and as what, for as long as it holds."""
    return key(lease.mapping), lease.shard.encode(), b"%d %b" % (lease.epoch, lease.owner.encode())


def _pieces(text: bytes, lengths: Iterable[int]) -> Iterator[bytes]:
    start = 0
    for length in lengths:
        yield text[start : start + length]
        start += length


def _state(stored: Mapping[bytes, bytes], now: int) -> ShardState:
    epoch, _, owner = stored.get(b"lease", b"0").partition(b" ")
    until, _, ttl = stored.get(b"expires", b"0 0").partition(b" ")
    # Further ahead than it lasts: the server's clock has been set back. Nobody shows as the holder, so that somebody asks for the
    # lease, which cuts it.
    holds = now < int(until) <= now + int(ttl)
    return ShardState(
        checkpoint=_checkpoint(stored.get(b"position"), stored.get(b"extra")),
        finished=b"finished" in stored,
        owner=owner.decode() if owner and holds else None,
        epoch=int(epoch),
    )


def _checkpoint(at: bytes | None, extra: bytes | None) -> Checkpoint | None:
    return None if at is None else Checkpoint(position=Position(at.decode()), extra=extra or b"")


def _stream(arn: bytes, created_at: bytes) -> StreamId:
    return StreamId(arn=arn.decode(), created_at=float(created_at))


def _milliseconds(seconds: float) -> bytes:
    return b"%d" % math.ceil(seconds * 1000)


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(f"{lease.owner} no longer holds {lease.shard} of mapping {lease.mapping} (epoch {lease.epoch})")
