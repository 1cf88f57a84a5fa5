"""The part of the store contract about leases: `acquire`, `renew`, `release`, `finish`."""

from __future__ import annotations

import itertools

import pytest
from contract.store_world import (
    MAPPING,
    OTHER_SHARD,
    SHARD,
    TTL,
    A,
    B,
    Lose,
    Stores,
    StoreSuite,
    acquired,
    all_of,
    at,
    enrolled,
    every_way_to_lose,
    state,
)

from poller.core.model import Lease, ShardState
from poller.errors import LeaseLost


class LeaseContract(StoreSuite):
    async def test_a_free_shard_can_be_taken_by_one_owner_only(self, stores: Stores) -> None:
        async with stores.connect() as one, stores.connect() as two:
            await enrolled(one)
            lease = await acquired(one, A)
            assert (lease.mapping, lease.shard, lease.owner) == (MAPPING, SHARD, A)
            assert await one.acquire(MAPPING, SHARD, B, TTL) is None
            assert await two.acquire(MAPPING, SHARD, B, TTL) is None
            assert await state(two) == ShardState(owner=A, epoch=lease.epoch)

    async def test_of_many_that_ask_at_once_one_gets_it(self, stores: Stores) -> None:
        async with stores.connect() as one, stores.connect() as two:
            await enrolled(one)
            asked = [(one, two)[number % 2].acquire(MAPPING, SHARD, f"replica-{number}", TTL) for number in range(20)]
            answers = await all_of(*asked)
            (lease,) = [answer for answer in answers if answer is not None]
            assert isinstance(lease, Lease)
            assert (await state(one)).owner == lease.owner

    async def test_shards_are_leased_one_by_one(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store)
            mine, theirs = await acquired(store, A), await acquired(store, B, shard=OTHER_SHARD)
            await store.release(mine)
            await store.renew(theirs, TTL)
            assert (await state(store, OTHER_SHARD)).owner == B

    async def test_no_lease_for_a_mapping_that_is_not_enrolled(self, stores: Stores) -> None:
        async with stores.connect() as store:
            assert await store.acquire(MAPPING, SHARD, A, TTL) is None
            assert await store.shards(MAPPING) == {}

    async def test_a_shard_that_appeared_later_can_be_leased(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(1))
            child = await acquired(store, A, shard=OTHER_SHARD)
            assert await store.load(child) is None

    async def test_epochs_only_grow_whoever_holds_the_lease(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store)
            leases = [await acquired(store, A)]
            leases.append(await acquired(store, A))
            await store.release(leases[-1])
            leases.append(await acquired(store, B))
            await stores.elapse(TTL)
            leases.append(await acquired(store, A))
            epochs = [lease.epoch for lease in leases]
            assert all(earlier < later for earlier, later in itertools.pairwise(epochs))
            assert (await state(store)).epoch == epochs[-1]

    async def test_a_lease_lasts_its_time_and_not_longer(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store)
            await acquired(store, A)
            await stores.elapse(TTL - 1)
            assert await store.acquire(MAPPING, SHARD, B, TTL) is None
            await stores.elapse(1)
            assert (await acquired(store, B)).owner == B

    async def test_asking_in_vain_prolongs_nothing(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store)
            lease = await acquired(store, A)
            assert await store.acquire(MAPPING, SHARD, B, 100 * TTL) is None
            await store.renew(lease, TTL)
            await stores.elapse(TTL)
            await acquired(store, B)

    async def test_an_owner_that_asks_again_gets_its_full_time(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store)
            await acquired(store, A)
            await stores.elapse(TTL - 1)
            await acquired(store, A)
            await stores.elapse(TTL - 1)
            assert await store.acquire(MAPPING, SHARD, B, TTL) is None

    async def test_renewing_counts_from_now(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store)
            lease = await acquired(store, A)
            await stores.elapse(6)
            await store.renew(lease, TTL)
            await stores.elapse(9)
            assert await store.acquire(MAPPING, SHARD, B, TTL) is None
            await stores.elapse(1)
            await acquired(store, B)

    async def test_renewing_may_shorten(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store)
            lease = await acquired(store, A)
            await store.renew(lease, TTL - 3)
            await stores.elapse(TTL - 3)
            await acquired(store, B)

    async def test_an_expired_lease_that_nobody_took_can_be_renewed(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store)
            lease = await acquired(store, A)
            await stores.elapse(5 * TTL)
            await store.renew(lease, TTL)
            assert await store.acquire(MAPPING, SHARD, B, TTL) is None

    async def test_a_released_lease_can_be_taken_at_once_and_the_checkpoint_stays(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(3))
            lease = await acquired(store, A)
            await store.release(lease)
            assert await state(store) == ShardState(checkpoint=at(3), epoch=lease.epoch)
            assert await store.load(await acquired(store, B)) == at(3)

    @every_way_to_lose
    async def test_releasing_a_lost_lease_changes_nothing(self, stores: Stores, lose: Lose) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(3))
            lease = await acquired(store, A)
            await lose(stores, store, lease)
            before = await store.shards(MAPPING)
            await store.release(lease)
            assert await store.shards(MAPPING) == before

    @every_way_to_lose
    async def test_a_lost_lease_can_not_be_renewed(self, stores: Stores, lose: Lose) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(3))
            lease = await acquired(store, A)
            await lose(stores, store, lease)
            before = await store.shards(MAPPING)
            with pytest.raises(LeaseLost):
                await store.renew(lease, TTL)
            assert await store.shards(MAPPING) == before

    async def test_a_finished_shard_is_finished_for_good_and_for_all(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(3))
            lease = await acquired(store, A)
            await store.finish(lease)
            assert await state(store) == ShardState(checkpoint=at(3), finished=True, epoch=lease.epoch)
            await stores.elapse(100 * TTL)
            for owner in (A, B):
                assert await store.acquire(MAPPING, SHARD, owner, TTL) is None
            assert (await state(store)).finished

    @every_way_to_lose
    async def test_a_lost_lease_can_not_finish_a_shard(self, stores: Stores, lose: Lose) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(3))
            lease = await acquired(store, A)
            await lose(stores, store, lease)
            before = await store.shards(MAPPING)
            with pytest.raises(LeaseLost):
                await store.finish(lease)
            assert await store.shards(MAPPING) == before

    async def test_a_lease_of_a_shard_that_was_never_leased_is_no_lease(self, stores: Stores) -> None:
        invented = Lease(mapping=MAPPING, shard=SHARD, owner=A, epoch=0)
        async with stores.connect() as store:
            await enrolled(store, at(3))
            for forbidden in (
                store.renew(invented, TTL),
                store.load(invented),
                store.advance(invented, at(9)),
                store.finish(invented),
            ):
                with pytest.raises(LeaseLost):
                    await forbidden
            assert await state(store) == ShardState(checkpoint=at(3))
