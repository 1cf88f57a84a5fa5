"""The part of the store contract for operators' commands: `mappings`, `rewrite`, `forget`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from contract.store_world import (
    MAPPING,
    OTHER_MAPPING,
    OTHER_SHARD,
    OTHER_STREAM,
    SHARD,
    STREAM,
    TTL,
    A,
    B,
    Stores,
    StoreSuite,
    acquired,
    all_of,
    at,
    enrolled,
    state,
)

from poller.core.model import BEGINNING, Checkpoint, ShardId, ShardState
from poller.edits import Rewrite
from poller.errors import LeaseLost

if TYPE_CHECKING:
    from poller.edits import EditableStore

START = Checkpoint(position=BEGINNING, extra=b'{"start":{}}')


async def rewritten(store: EditableStore, wish: Rewrite, shard: ShardId = SHARD) -> bool:
    return await store.rewrite(MAPPING, STREAM, {shard: wish})


class EditContract(StoreSuite):
    async def test_all_enrolled_mappings_are_listed_with_their_streams(self, stores: Stores) -> None:
        async with stores.connect() as store:
            assert await store.mappings() == {}
            await store.enroll(OTHER_MAPPING, OTHER_STREAM, {})
            await store.enroll(MAPPING, STREAM, {SHARD: at(1)})
            assert await store.mappings() == {MAPPING: STREAM, OTHER_MAPPING: OTHER_STREAM}

    @pytest.mark.parametrize("to", [at(9, b"\x00\xff"), at(2), START, Checkpoint(), None], ids=str)
    @pytest.mark.parametrize("finished", [False, True])
    async def test_a_checkpoint_goes_where_an_operator_wants_it(
        self, stores: Stores, to: Checkpoint | None, *, finished: bool
    ) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(5, b"five"))
            seen = await state(store)
            assert await rewritten(store, Rewrite(seen=seen, to=to, finished=finished))
            assert await state(store) == ShardState(checkpoint=to, finished=finished, epoch=seen.epoch + 1)

    async def test_a_finished_shard_can_be_opened_again_and_leased(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(5))
            await store.finish(await acquired(store))
            assert await rewritten(store, Rewrite(seen=await state(store), to=at(3)))
            assert await store.load(await acquired(store)) == at(3)

    async def test_a_shard_that_the_store_does_not_know_can_be_written(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(5))
            assert await rewritten(store, Rewrite(seen=None, to=at(7)), OTHER_SHARD)
            assert await store.load(await acquired(store, shard=OTHER_SHARD)) == at(7)
            assert not await rewritten(store, Rewrite(seen=None, to=at(8)), OTHER_SHARD)
            assert not await rewritten(store, Rewrite(seen=ShardState(), to=at(8)), ShardId("shard-unknown"))

    async def test_a_mapping_that_the_store_does_not_know_is_enrolled(self, stores: Stores) -> None:
        async with stores.connect() as store:
            wishes = {SHARD: Rewrite(seen=None, to=at(7)), OTHER_SHARD: Rewrite(seen=None, to=None, finished=True)}
            assert await store.rewrite(MAPPING, STREAM, wishes)
            assert await store.stream(MAPPING) == STREAM
            assert await state(store, OTHER_SHARD) == ShardState(finished=True, epoch=1)
            assert await store.rewrite(OTHER_MAPPING, OTHER_STREAM, {})
            assert await store.stream(OTHER_MAPPING) == OTHER_STREAM

    async def test_another_stream_is_refused(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(5))
            seen = await state(store)
            assert not await store.rewrite(MAPPING, OTHER_STREAM, {SHARD: Rewrite(seen=seen, to=at(7))})
            assert await state(store) == seen
            assert await store.stream(MAPPING) == STREAM

    @pytest.mark.parametrize(
        "seen",
        [
            None,
            ShardState(checkpoint=at(4), epoch=1),
            ShardState(checkpoint=at(5, b"other"), epoch=1),
            ShardState(checkpoint=at(5), epoch=1),
            ShardState(checkpoint=None, epoch=1),
            ShardState(checkpoint=at(5, b"five"), epoch=2),
            ShardState(checkpoint=at(5, b"five"), epoch=1, finished=True),
        ],
        ids=str,
    )
    async def test_what_is_not_as_it_was_seen_is_left_alone(self, stores: Stores, seen: ShardState | None) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(5, b"five"))
            await store.release(await acquired(store))
            before = await store.shards(MAPPING)
            assert not await rewritten(store, Rewrite(seen=seen, to=at(7)))
            assert await store.shards(MAPPING) == before

    async def test_all_shards_are_written_or_none(self, stores: Stores) -> None:
        shards = [ShardId(f"shard-{number}") for number in range(20)]
        async with stores.connect() as store:
            await store.enroll(MAPPING, STREAM, dict.fromkeys(shards, at(1)))
            before = await store.shards(MAPPING)
            wishes = {shard: Rewrite(seen=before[shard], to=at(2)) for shard in shards}
            stale = wishes | {shards[13]: Rewrite(seen=ShardState(checkpoint=at(9)), to=at(2))}
            assert not await store.rewrite(MAPPING, STREAM, stale)
            assert await store.shards(MAPPING) == before
            assert await store.rewrite(MAPPING, STREAM, wishes)
            assert await store.shards(MAPPING) == dict.fromkeys(shards, ShardState(checkpoint=at(2), epoch=1))

    async def test_a_held_shard_is_written_only_where_its_holder_is_to_be_fenced(self, stores: Stores) -> None:
        async with stores.connect() as one, stores.connect() as two:
            await enrolled(one, at(5))
            lease = await acquired(one, A)
            seen = await state(two)
            assert not await rewritten(two, Rewrite(seen=seen, to=at(2)))
            await one.renew(lease, TTL)
            assert await rewritten(two, Rewrite(seen=seen, to=at(2), fence=True))
            assert await state(one) == ShardState(checkpoint=at(2), epoch=lease.epoch + 1)
            for call in (one.renew(lease, TTL), one.advance(lease, at(6)), one.finish(lease), one.load(lease)):
                with pytest.raises(LeaseLost):
                    await call
            await one.release(lease)
            assert await two.load(await acquired(two, B)) == at(2)

    async def test_a_shard_whose_lease_is_over_is_free_and_its_late_holder_is_fenced(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(5))
            lease = await acquired(store, A)
            await stores.elapse(TTL)
            assert await rewritten(store, Rewrite(seen=await state(store), to=at(2)))
            with pytest.raises(LeaseLost):
                await store.advance(lease, at(6))
            assert (await state(store)).checkpoint == at(2)

    async def test_a_holder_that_goes_on_meanwhile_does_not_hinder_who_says_so(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(5))
            lease = await acquired(store, A)
            seen = await state(store)
            await store.advance(lease, at(6))
            assert not await rewritten(store, Rewrite(seen=seen, to=at(2), fence=True))
            assert await rewritten(store, Rewrite(seen=seen, to=at(2), fence=True, moved=True))
            assert (await state(store)).checkpoint == at(2)

    async def test_of_many_that_write_what_they_saw_one_does_it(self, stores: Stores) -> None:
        async with stores.connect() as one, stores.connect() as two:
            await enrolled(one, at(5))
            seen = await state(one)
            answers = await all_of(
                *(rewritten((one, two)[number % 2], Rewrite(seen=seen, to=at(number))) for number in range(20))
            )
            assert answers.count(True) == 1
            assert (await state(two)).checkpoint == at(answers.index(True))

    async def test_a_forgotten_mapping_is_new_and_its_holders_are_fenced(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(5))
            await store.enroll(OTHER_MAPPING, OTHER_STREAM, {SHARD: at(1)})
            lease = await acquired(store, A)
            assert not await store.forget(MAPPING)
            assert await state(store) == ShardState(checkpoint=at(5), owner=A, epoch=lease.epoch)
            assert await store.forget(MAPPING, fence=True)
            assert await store.stream(MAPPING) is None
            assert await store.shards(MAPPING) == {}
            with pytest.raises(LeaseLost):
                await store.advance(lease, at(6))
            assert await store.mappings() == {OTHER_MAPPING: OTHER_STREAM}
            assert (await store.enroll(MAPPING, OTHER_STREAM, {SHARD: at(0)})).created

    async def test_a_mapping_that_nobody_holds_is_forgotten(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(5))
            await acquired(store, A)
            await stores.elapse(TTL)
            assert await store.forget(MAPPING)
            assert await store.forget(MAPPING)
            assert await store.mappings() == {}
