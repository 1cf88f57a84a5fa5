"""The part of the store contract about checkpoints: `load`, `advance`."""

from __future__ import annotations

import asyncio

import pytest
from contract.store_world import (
    MAPPING,
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

from poller.core.model import BEGINNING, Checkpoint, Position, ShardId, ShardState
from poller.errors import LeaseLost


class CheckpointContract(StoreSuite):
    async def test_load_gives_the_checkpoint_of_the_enrolment(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(3, b"\x00\xff"))
            assert await store.load(await acquired(store)) == at(3, b"\x00\xff")

    async def test_a_checkpoint_at_the_beginning_is_a_checkpoint(self, stores: Stores) -> None:
        start = Checkpoint(position=BEGINNING, extra=b'{"type":"TRIM_HORIZON"}')
        async with stores.connect() as store:
            await enrolled(store, start)
            assert await store.load(await acquired(store)) == start

    @every_way_to_lose
    async def test_a_lost_lease_can_not_load(self, stores: Stores, lose: Lose) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(3))
            lease = await acquired(store)
            await lose(stores, store, lease)
            with pytest.raises(LeaseLost):
                await store.load(lease)

    async def test_a_first_checkpoint_can_be_written_where_there_was_none(self, stores: Stores) -> None:
        for first in (Checkpoint(), at(1)):
            async with stores.connect() as store:
                await enrolled(store)
                lease = await acquired(store)
                assert await store.load(lease) is None
                assert await store.advance(lease, first)
                assert await store.load(lease) == first
                await stores.empty()

    async def test_advance_goes_forward_and_replaces_what_goes_with_the_position(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store, Checkpoint(extra=b"start"))
            lease = await acquired(store)
            for to in (at(1, b"one"), at(5), at(6, b"six")):
                assert await store.advance(lease, to)
                assert await store.load(lease) == to

    async def test_advance_refuses_to_go_back_and_changes_nothing(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(5, b"five"))
            lease = await acquired(store)
            for behind in (at(4, b"four"), Checkpoint(extra=b"start")):
                assert not await store.advance(lease, behind)
                assert await store.load(lease) == at(5, b"five")

    async def test_advance_to_the_same_position_writes_what_goes_with_it(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(5, b"old"))
            lease = await acquired(store)
            assert await store.advance(lease, at(5, b"new"))
            assert await store.load(lease) == at(5, b"new")

    async def test_positions_are_compared_as_strings_of_all_their_digits(self, stores: Stores) -> None:
        low = Position("4" * 69 + "1")  # 70 digits: neighbours are one number to a double, and no 64-bit integer
        high = Position("4" * 69 + "2")
        async with stores.connect() as store:
            await enrolled(store)
            lease = await acquired(store)
            assert await store.advance(lease, Checkpoint(position=high))
            assert not await store.advance(lease, Checkpoint(position=low))
            assert await store.load(lease) == Checkpoint(position=high)
            assert await store.advance(lease, Checkpoint(position=Position("4" * 69 + "3")))

    async def test_a_shorter_position_is_not_a_smaller_number(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store, Checkpoint(position=Position("9")))
            lease = await acquired(store)
            assert not await store.advance(lease, Checkpoint(position=Position("10")))
            assert await store.load(lease) == Checkpoint(position=Position("9"))

    async def test_digits_and_leading_zeros_come_back_as_they_went_in(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store)
            lease = await acquired(store)
            for text in ("007", "0100", "1e3"):
                assert await store.advance(lease, Checkpoint(position=Position(text)))
                assert await store.load(lease) == Checkpoint(position=Position(text))

    @every_way_to_lose
    async def test_a_lost_lease_can_not_advance_wherever_it_wants_to(self, stores: Stores, lose: Lose) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(3))
            lease = await acquired(store)
            await lose(stores, store, lease)
            before = await store.shards(MAPPING)
            for to in (at(2), at(3, b"same"), at(4)):
                with pytest.raises(LeaseLost):
                    await store.advance(lease, to)
            assert await store.shards(MAPPING) == before

    async def test_an_expired_lease_that_nobody_took_still_advances(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store)
            lease = await acquired(store)
            await stores.elapse(5 * TTL)
            assert await store.advance(lease, at(1))

    async def test_advancing_does_not_prolong_a_lease(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store)
            lease = await acquired(store, A)
            await stores.elapse(TTL - 1)
            await store.advance(lease, at(1))
            await stores.elapse(1)
            await acquired(store, B)

    async def test_a_hundred_shards_advance_at_once(self, stores: Stores) -> None:
        shards = [ShardId(f"shard-{number}") for number in range(100)]
        async with stores.connect() as store:
            await enrolled(store)
            leases = [await acquired(store, shard=shard) for shard in shards]
            answers = await all_of(*(store.advance(lease, at(number)) for number, lease in enumerate(leases)))
            assert answers == [True] * 100
            assert await store.shards(MAPPING) == {
                shard: ShardState(checkpoint=at(number), owner=A, epoch=leases[number].epoch)
                for number, shard in enumerate(shards)
            }

    async def test_interleaved_advances_of_one_shard_end_at_the_furthest(self, stores: Stores) -> None:
        numbers = [number * 37 % 101 for number in range(1, 101)]  # 1 to 100, well mixed
        async with stores.connect() as one, stores.connect() as two:
            await enrolled(one)
            lease = await acquired(one)
            answers = await all_of(
                *((one, two)[turn % 2].advance(lease, at(number, b"%d" % number)) for turn, number in enumerate(numbers))
            )
            assert set(answers) <= {True, False}
            assert answers[numbers.index(100)] is True
            assert await one.load(lease) == at(100, b"100")

    async def test_calls_of_a_lost_lease_among_those_of_the_new_one_all_fail(self, stores: Stores) -> None:
        async with stores.connect() as one, stores.connect() as two:
            await enrolled(one)
            old = await acquired(one, A)
            await one.release(old)
            new = await acquired(two, B)
            late, good = await all_of(
                all_of(*(one.advance(old, at(1_000 + number)) for number in range(50))),
                all_of(*(two.advance(new, at(number)) for number in range(50))),
            )
            assert isinstance(late, list)
            assert [type(answer) for answer in late] == [LeaseLost] * 50
            assert isinstance(good, list)
            assert set(good) <= {True, False}
            assert await two.load(new) == at(49)

    async def test_a_caller_that_gives_up_takes_nobody_along(self, stores: Stores) -> None:
        shards = [ShardId(f"shard-{number}") for number in range(20)]
        async with stores.connect() as store:
            await enrolled(store)
            leases = [await acquired(store, shard=shard) for shard in shards]
            async with asyncio.TaskGroup() as group:
                calls = [group.create_task(store.advance(lease, at(1))) for lease in leases]
                await asyncio.sleep(0)
                for call in calls[::2]:
                    call.cancel()
            assert all(call.result() for call in calls[1::2])
            for shard in shards[1::2]:
                assert (await state(store, shard)).checkpoint == at(1)
            assert await store.advance(leases[0], at(2))
            assert await store.load(leases[0]) == at(2)
