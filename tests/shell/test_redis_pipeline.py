"""The Redis store's connection: what is called together goes together, and nothing that a server says takes others along."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from contract.store_world import MAPPING, SHARD, TTL, A, acquired, all_of, at, enrolled
from support.servers import free_port
from support.valkey import Valkey, running

from poller.core.model import Checkpoint, Lease, Position, ShardId
from poller.errors import LeaseLost, Unavailable
from poller.stores import redis_pipeline
from poller.stores.redis import RedisStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

SHARDS = [ShardId(f"shard-{number}") for number in range(100)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with running(Valkey(folder=tmp_path_factory.mktemp("valkey"))) as started:
        yield started


@pytest.fixture(autouse=True)
def empty(server: Valkey) -> None:
    with server.admin() as client:
        client.flushall()


async def leases(store: RedisStore) -> list[Lease]:
    await enrolled(store)
    return [await acquired(store, shard=shard) for shard in SHARDS]


# -------------------------------------------------------------------------------------------------------------------- together


@asynccontextmanager
async def counting(server: Valkey) -> AsyncIterator[tuple[str, list[int]]]:
    """A URL that leads to the server, and how many bytes came in each piece that a client sent."""
    pieces: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner = await asyncio.open_connection("127.0.0.1", server.port)

        async def back() -> None:
            while data := await inner[0].read(1 << 20):
                writer.write(data)
            writer.close()

        async with asyncio.TaskGroup() as both:
            both.create_task(back())
            while data := await reader.read(1 << 20):
                pieces.append(len(data))
                inner[1].write(data)
            inner[1].close()

    async with await asyncio.start_server(serve, "127.0.0.1", port := free_port(), limit=1 << 20):
        yield f"redis://127.0.0.1:{port}", pieces


async def test_a_hundred_calls_of_one_turn_go_out_together(server: Valkey) -> None:
    async with counting(server) as (url, pieces), RedisStore(url) as store:
        held = await leases(store)
        await store.advance(held[0], at(1))
        pieces.clear()
        assert await all_of(*(store.advance(lease, at(2)) for lease in held)) == [True] * 100
        assert len(pieces) <= 5
        assert sum(pieces) > 100 * 100


async def test_more_calls_than_fit_are_all_answered(server: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_pipeline, "MOST", 7)
    async with RedisStore(server.url) as store:
        held = await leases(store)
        answers = await all_of(*(store.advance(lease, at(number)) for number, lease in enumerate(held)))
        assert answers == [True] * 100


async def test_a_lost_lease_among_others_is_that_calls_answer_alone(server: Valkey) -> None:
    async with RedisStore(server.url) as store:
        held = await leases(store)
        await store.release(held[50])
        answers = await all_of(*(store.advance(lease, at(1)) for lease in held))
        assert [type(answer) for answer in answers] == [bool] * 50 + [LeaseLost] + [bool] * 49


async def test_everything_called_before_leaving_is_written(server: Valkey) -> None:
    async with asyncio.TaskGroup() as group, RedisStore(server.url) as store:
        held = await leases(store)
        calls = [group.create_task(store.advance(lease, at(1))) for lease in held]
        await asyncio.sleep(0)
    assert [call.result() for call in calls] == [True] * 100


async def test_a_body_that_fails_fails_as_itself(server: Valkey) -> None:
    async def fail() -> None:
        async with RedisStore(server.url) as store:
            await enrolled(store)
            raise KeyError("planned")

    with pytest.raises(KeyError, match="planned"):
        await fail()


async def test_a_call_that_was_given_up_before_it_was_sent_has_no_effect(server: Valkey) -> None:
    async with RedisStore(server.url) as store:
        lease = (await leases(store))[0]
        async with asyncio.TaskGroup() as group:
            call = group.create_task(store.advance(lease, at(1)))
            await asyncio.sleep(0)
            call.cancel()
        assert await store.load(lease) is None


# --------------------------------------------------------------------------------------------------------- positions as strings


async def test_positions_beyond_the_numbers_of_lua_are_told_apart(server: Valkey) -> None:
    digits = "49590338271490256608559692538361571095921575989136588898"  # 56 of them; a double holds 53 bits
    low, high = Position(digits), Position(digits[:-1] + "9")
    assert float(low) == float(high)
    async with RedisStore(server.url) as store:
        await enrolled(store)
        lease = await acquired(store)
        assert await store.advance(lease, Checkpoint(position=high))
        assert not await store.advance(lease, Checkpoint(position=low))
        assert await store.load(lease) == Checkpoint(position=high)


def locale_of_english(folder: Path) -> dict[str, str]:
    """An environment in which spaces do not count when strings are compared."""
    import shutil  # noqa: PLC0415  one test
    import subprocess  # noqa: PLC0415  the same

    localedef = shutil.which("localedef")
    if localedef is None:
        pytest.skip("no localedef on this host")
    folder.mkdir()
    made = subprocess.run([localedef, "-f", "UTF-8", "-i", "en_US", folder / "en_US.utf8"], check=False, capture_output=True)
    if made.returncode != 0:
        pytest.skip("no sources of locales on this host")
    return {"LOCPATH": str(folder), "LC_ALL": "en_US.UTF-8"}


async def test_positions_are_compared_by_their_bytes_whatever_the_servers_locale(tmp_path: Path) -> None:
    abroad = Valkey(folder=tmp_path / "valkey", environment=locale_of_english(tmp_path / "locales"))
    with running(abroad) as server:
        with server.admin() as client:
            assert client.eval("return tostring(' 9' < '10')", 0) == b"false", (
                "the locale must matter for this test to mean anything"
            )
        async with RedisStore(server.url) as store:
            await enrolled(store, at(9))
            lease = await acquired(store)
            assert await store.advance(lease, at(10))
            assert not await store.advance(lease, at(9))


# -------------------------------------------------------------------------------------------------------------- odd answers


@asynccontextmanager
async def saying(*answers: bytes) -> AsyncIterator[str]:
    """The URL of a server that answers what comes with these, one after the other, whatever it is; then it hangs up.

    What a client says of itself first (CLIENT SETINFO) is well received.
    """
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while left and (data := await reader.read(65536)):
            writer.write(b"+OK\r\n" * data.count(b"SETINFO") or left.pop(0))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port := free_port()):
        yield f"redis://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", "server", "Redis is loading the dataset in memory"),
        (b"-MASTERDOWN Link with MASTER is down\r\n", "server", "Link with MASTER is down"),
        (b"-CLUSTERDOWN The cluster is down\r\n", "server", "The cluster is down"),
        (b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n", "server", "Multiple keys"),
        (b"-MISCONF Errors writing to the AOF file\r\n", "server", "MISCONF Errors writing to the AOF file"),
        (b"-ERR Error running script: @user_script:5: -READONLY You can't write\r\n", "server", "Error running script"),
        (b"-ERR max number of clients reached\r\n", "throttled", "max number of clients reached"),
        (b"-DENIED Redis is running in protected mode\r\n", "auth", "DENIED"),
        (b"-NOAUTH Authentication required.\r\n", "auth", "Authentication required."),
        (b"-MOVED 3999 127.0.0.1:6381\r\n", "other", "this server is a part of a Redis Cluster"),
        (b"-ERR unknown command 'EVALSHA'\r\n", "other", "unknown command"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "other", "Protocol Error: b'HTTP/1.1 400 Bad Request'"),
        (b":many\r\n", "other", "invalid literal"),
        (b"$many\r\n", "other", "invalid literal"),
        (b"$12\r\nshort", "connection", "Connection closed by server"),
        (b"", "connection", "Connection closed by server"),
        (b"\xff\xfe" * 70_000, "other", ""),
    ],
)
async def test_whatever_a_server_says_that_is_no_answer_is_unavailable(answer: bytes, kind: str, text: str) -> None:
    lease = Lease(mapping=MAPPING, shard=SHARD, owner=A, epoch=1)
    async with saying(answer) as url, RedisStore(url) as store:
        with pytest.raises(Unavailable) as caught:
            await store.renew(lease, TTL)
    assert (caught.value.operation, caught.value.kind) == ("renew", kind)
    assert str(caught.value).startswith("renew: ")
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_after_an_odd_answer_the_next_call_begins_on_a_new_connection() -> None:
    lease = Lease(mapping=MAPPING, shard=SHARD, owner=A, epoch=1)
    async with saying(b"-LOADING wait\r\n:0\r\n:0\r\n", b":1\r\n") as url, RedisStore(url) as store:
        with pytest.raises(Unavailable):
            await store.renew(lease, TTL)
        await store.renew(lease, TTL)
