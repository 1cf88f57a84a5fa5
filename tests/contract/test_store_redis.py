"""The Redis store keeps the contract, on a real server.

Nobody can move a server's clock. Here a second of the suite is a thousand real ones, so that those that a test takes do not
count, and time passes by a change of what is stored: the end of every lease comes so much nearer.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from contract.store_contract import StoreContract
from contract.store_machine import StoreMachine
from contract.store_world import Stores
from hypothesis import settings
from support.valkey import Valkey, running

from poller.stores.redis import RedisStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poller.core.model import Lease, MappingId, ShardId

STRETCH = 1_000

LATER = """
for _, key in ipairs(redis.call('KEYS', 'poller:{*}:mapping')) do
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    if string.find(fields[i], '/expires$') then
      local until_, ttl = string.match(fields[i + 1], '^(%d+) (%d+)$')
      redis.call('HSET', key, fields[i], string.format('%.0f ', until_ - ARGV[1]) .. ttl)
    end
  end
end
"""


class StretchedStore(RedisStore):
    """A store whose leases last a thousand times as long."""

    async def acquire(self, mapping: MappingId, shard: ShardId, owner: str, ttl: float) -> Lease | None:
        return await super().acquire(mapping, shard, owner, STRETCH * ttl)

    async def renew(self, lease: Lease, ttl: float) -> None:
        await super().renew(lease, STRETCH * ttl)


class RedisStores(Stores):
    def __init__(self, server: Valkey) -> None:
        self.server = server

    def connect(self) -> RedisStore:
        return StretchedStore(self.server.url)

    async def elapse(self, seconds: float) -> None:
        with self.server.admin() as client:
            client.eval(LATER, 0, str(int(1000 * STRETCH * seconds)))

    async def empty(self) -> None:
        with self.server.admin() as client:
            client.flushall()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with running(Valkey(folder=tmp_path_factory.mktemp("valkey"))) as started:
        yield started


class TestRedisStore(StoreContract):
    @pytest.fixture
    def stores(self, server: Valkey) -> Stores:
        with server.admin() as client:
            client.flushall()
        return RedisStores(server)


class RedisMachine(StoreMachine):
    def make_stores(self) -> Stores:
        self.directory = tempfile.TemporaryDirectory()
        self.server = Valkey(folder=Path(self.directory.name))
        self.server.start()
        return RedisStores(self.server)

    def teardown(self) -> None:
        super().teardown()
        self.server.kill()
        self.directory.cleanup()


TestRedisMachine = RedisMachine.TestCase
TestRedisMachine.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
