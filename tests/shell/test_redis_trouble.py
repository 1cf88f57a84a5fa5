"""The Redis store when its server is in trouble: it says so, and works again afterwards, on real servers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import redis
from contract.store_world import MAPPING, SHARD, STREAM, A, B, at, enrolled
from support.valkey import DURABLE, Valkey, running, until

from poller.core.model import ShardState
from poller.errors import LeaseLost, Unavailable
from poller.stores import redis_pipeline
from poller.stores.redis import RedisStore, key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from poller.core.model import Lease

LONG = 600.0

CALLS: dict[str, Callable[[RedisStore, Lease], Awaitable[object]]] = {
    "stream": lambda store, _: store.stream(MAPPING),
    "enroll": lambda store, _: store.enroll(MAPPING, STREAM, {}),
    "shards": lambda store, _: store.shards(MAPPING),
    "acquire": lambda store, _: store.acquire(MAPPING, SHARD, A, LONG),
    "renew": lambda store, lease: store.renew(lease, LONG),
    "release": lambda store, lease: store.release(lease),
    "load": lambda store, lease: store.load(lease),
    "advance": lambda store, lease: store.advance(lease, at(2)),
    "finish": lambda store, lease: store.finish(lease),
}
WRITES = ("acquire", "renew", "advance", "finish")

RIGHTS = [f"+{command}" for command in ("eval", "evalsha", "time", "hget", "hmget", "hgetall", "hset", "hdel", "select")]
"""As in docs/stores.md."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    with running(Valkey(folder=tmp_path / "valkey", settings=DURABLE)) as started:
        yield started


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent server is found out sooner."""
    monkeypatch.setattr(redis_pipeline, "PATIENCE", 0.3)


async def refused(call: Awaitable[object]) -> tuple[str, str, str]:
    """Operation, kind and text of the `Unavailable` that a call raises."""
    with pytest.raises(Unavailable) as caught:
        await call
    return caught.value.operation, caught.value.kind, str(caught.value)


async def leased(store: RedisStore) -> Lease:
    await enrolled(store, at(1))
    lease = await store.acquire(MAPPING, SHARD, A, LONG)
    assert lease is not None
    return lease


# --------------------------------------------------------------------------------------------------------------- dead servers


async def test_a_server_that_dies_and_comes_back_with_its_data_goes_on_where_it_was(server: Valkey) -> None:
    async with RedisStore(server.url) as store:
        lease = await leased(store)
        assert await store.advance(lease, at(5, b"five"))
        server.kill()
        for operation, call in CALLS.items():
            assert (await refused(call(store, lease)))[:2] == (operation, "connection")
        server.start()
        assert await store.load(lease) == at(5, b"five")
        assert await store.acquire(MAPPING, SHARD, B, LONG) is None
        await store.renew(lease, LONG)
        assert await store.advance(lease, at(6))
        assert await store.shards(MAPPING) == {SHARD: ShardState(checkpoint=at(6), owner=A, epoch=lease.epoch)}


async def test_a_server_that_comes_back_empty_knows_no_lease_and_no_mapping(server: Valkey) -> None:
    async with RedisStore(server.url) as store:
        lease = await leased(store)
        server.kill()
        server.forget()
        server.start()
        assert (await refused(store.stream(MAPPING)))[:2] == ("stream", "connection")  # the connection that died with it
        assert await store.stream(MAPPING) is None
        assert await store.shards(MAPPING) == {}
        assert await store.acquire(MAPPING, SHARD, A, LONG) is None
        for operation in ("renew", "load", "advance", "finish"):
            with pytest.raises(LeaseLost):
                await CALLS[operation](store, lease)


async def test_entering_does_not_wait_for_a_server_and_the_first_call_after_its_start_works(tmp_path: Path) -> None:
    server = Valkey(folder=tmp_path / "valkey")
    async with RedisStore(server.url) as store:
        assert (await refused(store.stream(MAPPING)))[:2] == ("stream", "connection")
        with running(server):
            await leased(store)


async def test_a_server_that_forgets_its_scripts_is_told_them_again(server: Valkey) -> None:
    async with RedisStore(server.url) as store:
        lease = await leased(store)
        with server.admin() as client:
            client.script_flush()
        assert await store.advance(lease, at(2))
        assert (await store.shards(MAPPING))[SHARD].checkpoint == at(2)


# ------------------------------------------------------------------------------------------------------------- silent servers


@pytest.mark.usefixtures("impatient")
async def test_a_silent_server_is_unavailable_in_time_and_works_when_it_goes_on(server: Valkey) -> None:
    async with RedisStore(server.url) as store:
        lease = await leased(store)
        server.freeze()
        for _ in range(2):  # over the connection that there was, and over a new one, which the kernel still accepts
            assert await refused(store.advance(lease, at(5))) == ("advance", "timeout", "advance: no answer within 0.3 s")
        server.thaw()
        assert await store.load(lease) in (at(1), at(5))
        assert await store.advance(lease, at(6))
        assert await store.load(lease) == at(6)


@pytest.mark.usefixtures("impatient")
async def test_leaving_a_store_does_not_hang_on_a_silent_server(server: Valkey) -> None:
    async with asyncio.timeout(5), asyncio.TaskGroup() as group, RedisStore(server.url) as store:
        lease = await leased(store)
        server.freeze()
        late = group.create_task(refused(store.advance(lease, at(5))))
        await asyncio.sleep(0)
    assert late.result()[:2] == ("advance", "timeout")
    with pytest.raises(RuntimeError, match="outside of its context"):
        await store.stream(MAPPING)


async def test_a_server_that_is_busy_with_somebodys_script_is_unavailable(tmp_path: Path) -> None:
    with running(Valkey(folder=tmp_path / "valkey", settings={"busy-reply-threshold": "20"})) as server, server.admin() as busy:
        async with RedisStore(server.url) as store, asyncio.TaskGroup() as group:
            lease = await leased(store)
            endless = group.create_task(asyncio.to_thread(_endless, busy))
            await until(lambda: busy_now(server), "the server says that it is busy")
            assert (await refused(store.advance(lease, at(2))))[:2] == ("advance", "server")
            with server.admin() as client:
                client.script_kill()
            assert "killed by user" in await endless
            assert await store.advance(lease, at(2))


def _endless(client: redis.Redis) -> str:
    try:
        client.eval("while true do end", 0)
    except redis.ResponseError as error:
        return str(error)
    return "it ended"


def busy_now(server: Valkey) -> bool:
    with server.admin() as client:
        try:
            client.ping()
        except redis.ResponseError as error:
            return str(error).startswith("BUSY")
        return False


# ----------------------------------------------------------------------------------------------------- servers that do not want


async def test_a_replica_reads_and_refuses_to_write_until_it_is_promoted(server: Valkey, tmp_path: Path) -> None:
    async with RedisStore(server.url) as store:
        lease = await leased(store)
    replica = Valkey(folder=tmp_path / "replica", settings={"replicaof": f"127.0.0.1 {server.port}"})
    with running(replica), replica.admin() as admin:
        await until(lambda: admin.exists(key(MAPPING)), "the replica has the data")
        async with RedisStore(replica.url) as store:
            assert await store.load(lease) == at(1)
            for operation in WRITES:
                said = await refused(CALLS[operation](store, lease))
                assert said[:2] == (operation, "server")
                assert "read only replica" in said[2]
            admin.replicaof("NO", "ONE")
            assert await store.advance(lease, at(2))


async def test_a_master_that_is_demoted_is_unavailable_for_writes(server: Valkey, tmp_path: Path) -> None:
    with running(Valkey(folder=tmp_path / "other")) as other, server.admin() as admin:
        async with RedisStore(server.url) as store:
            lease = await leased(store)
            admin.replicaof("127.0.0.1", str(other.port))
            assert (await refused(store.advance(lease, at(2))))[1] in {"server", "connection"}
            admin.replicaof("NO", "ONE")


async def test_a_server_at_its_memory_limit_is_unavailable_for_writes_and_loses_nothing(server: Valkey) -> None:
    async with RedisStore(server.url) as store:
        lease = await leased(store)
        with server.admin() as client:
            client.config_set("maxmemory", "1")
            for operation in WRITES:
                assert (await refused(CALLS[operation](store, lease)))[:2] == (operation, "server")
            assert await store.load(lease) == at(1)
            client.config_set("maxmemory", "0")
        assert await store.advance(lease, at(2))


async def test_a_master_without_its_replicas_refuses_to_write(server: Valkey) -> None:
    async with RedisStore(server.url) as store:
        lease = await leased(store)
        with server.admin() as client:
            client.config_set("min-replicas-to-write", "1")
            assert (await refused(store.advance(lease, at(2))))[:2] == ("advance", "server")
            client.config_set("min-replicas-to-write", "0")
        assert await store.advance(lease, at(2))


@pytest.mark.parametrize("credentials", ["", ":hunter3@", "somebody:hunter2@"])
async def test_wrong_credentials_are_said_without_them(tmp_path: Path, credentials: str) -> None:
    with running(Valkey(folder=tmp_path / "valkey", password="hunter2")) as server:
        async with RedisStore(f"redis://{credentials}127.0.0.1:{server.port}") as store:
            for _ in range(2):
                operation, kind, text = await refused(store.shards(MAPPING))
                assert (operation, kind) == ("shards", "auth")
                assert "hunter" not in text
        async with RedisStore(server.url) as store:
            await leased(store)


async def test_a_user_without_rights_is_said_and_the_documented_rights_are_enough(server: Valkey) -> None:
    with server.admin() as client:
        client.acl_setuser("reader", enabled=True, passwords=["+secret"], keys=["poller:*"], commands=["+hmget"])
        client.acl_setuser("poller", enabled=True, passwords=["+secret"], keys=["poller:*"], commands=RIGHTS)
    async with RedisStore(f"redis://reader:secret@127.0.0.1:{server.port}/0") as store:
        assert await store.stream(MAPPING) is None
        assert (await refused(store.shards(MAPPING)))[:2] == ("shards", "auth")
    async with RedisStore(f"redis://poller:secret@127.0.0.1:{server.port}/1") as store:
        lease = await leased(store)
        for operation in ("stream", "shards", "load", "renew", "advance", "finish", "release"):
            await CALLS[operation](store, lease)


async def test_a_key_that_is_something_else_is_said(server: Valkey) -> None:
    with server.admin() as client:
        client.set(key(MAPPING), "mine")
    async with RedisStore(server.url) as store:
        assert (await refused(store.stream(MAPPING)))[:2] == ("stream", "other")
        assert "WRONGTYPE" in (await refused(store.enroll(MAPPING, STREAM, {})))[2]


# -------------------------------------------------------------------------------------------------------------------- its time


async def taken_over(store: RedisStore) -> Lease:
    """B's lease, as soon as it can be had."""
    async with asyncio.timeout(10):
        while True:
            heir = await store.acquire(MAPPING, SHARD, B, LONG)
            if heir is not None:
                return heir
            await asyncio.sleep(0.01)


async def test_a_lease_ends_by_the_servers_clock_and_its_late_holder_is_fenced(server: Valkey) -> None:
    async with RedisStore(server.url) as one, RedisStore(server.url) as two:
        await enrolled(one, at(1))
        late = await one.acquire(MAPPING, SHARD, A, 0.3)
        assert late is not None
        assert await two.acquire(MAPPING, SHARD, B, LONG) is None
        heir = await taken_over(two)
        assert heir.epoch == late.epoch + 1
        with pytest.raises(LeaseLost):
            await one.advance(late, at(9))
        assert await two.load(heir) == at(1)


async def test_a_lease_from_before_the_servers_clock_was_set_back_lasts_its_time_and_not_longer(server: Valkey) -> None:
    async with RedisStore(server.url) as store:
        await enrolled(store)
        lease = await store.acquire(MAPPING, SHARD, A, 0.3)
        assert lease is not None
        with server.admin() as client:
            client.hset(key(MAPPING), f"{SHARD}/expires", "99999999999999 300")
            assert (await store.shards(MAPPING))[SHARD].owner is None  # so that others ask for it
            assert await store.acquire(MAPPING, SHARD, B, LONG) is None
            assert client.hget(key(MAPPING), f"{SHARD}/expires") != b"99999999999999 300"
        await store.renew(lease, 0.3)  # its holder, if it lives, still has it
        await taken_over(store)
        with pytest.raises(LeaseLost):
            await store.renew(lease, 0.3)
