"""The part of the store contract about mappings: `stream`, `enroll`, `shards`."""

from __future__ import annotations

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

from poller.core.model import Checkpoint, ShardId, ShardState, StreamId
from poller.ports import Enrolment


class EnrolmentContract(StoreSuite):
    async def test_an_unknown_mapping_has_no_stream_and_no_shards(self, stores: Stores) -> None:
        async with stores.connect() as store:
            assert await store.stream(MAPPING) is None
            assert await store.shards(MAPPING) == {}

    async def test_enrolling_makes_a_mapping_known_with_its_first_checkpoints(self, stores: Stores) -> None:
        starts = {SHARD: at(7, b'{"type":"LATEST"}'), OTHER_SHARD: Checkpoint()}
        async with stores.connect() as store:
            assert await store.enroll(MAPPING, STREAM, starts) == Enrolment(stream=STREAM, created=True)
            assert await store.stream(MAPPING) == STREAM
            assert await store.shards(MAPPING) == {shard: ShardState(checkpoint=start) for shard, start in starts.items()}

    async def test_a_mapping_may_be_enrolled_without_shards(self, stores: Stores) -> None:
        async with stores.connect() as store:
            assert (await store.enroll(MAPPING, STREAM, {})).created
            assert await store.stream(MAPPING) == STREAM
            assert await store.shards(MAPPING) == {}

    async def test_enrolling_again_changes_nothing_and_says_which_stream_it_was(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await store.enroll(MAPPING, STREAM, {SHARD: at(7)})
            again = await store.enroll(MAPPING, OTHER_STREAM, {SHARD: at(9), OTHER_SHARD: at(9)})
            assert again == Enrolment(stream=STREAM, created=False)
            assert await store.stream(MAPPING) == STREAM
            assert await store.shards(MAPPING) == {SHARD: ShardState(checkpoint=at(7))}

    async def test_of_many_that_enroll_at_once_one_does_it_and_all_of_its_checkpoints_count(self, stores: Stores) -> None:
        shards = [ShardId(f"shard-{number}") for number in range(20)]
        streams = [StreamId(arn=STREAM.arn, created_at=float(number)) for number in range(8)]
        async with stores.connect() as one, stores.connect() as two:
            answers = await all_of(
                *(
                    (one, two)[number % 2].enroll(MAPPING, stream, dict.fromkeys(shards, at(number)))
                    for number, stream in enumerate(streams)
                )
            )
            winner = await one.stream(MAPPING)
            assert winner is not None
            assert sorted(answer.created for answer in answers if isinstance(answer, Enrolment)) == [False] * 7 + [True]
            assert answers[int(winner.created_at)] == Enrolment(stream=winner, created=True)
            assert {answer.stream for answer in answers if isinstance(answer, Enrolment)} == {winner}
            expected = ShardState(checkpoint=at(int(winner.created_at)))
            assert await two.shards(MAPPING) == dict.fromkeys(shards, expected)

    async def test_mappings_share_nothing(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await store.enroll(MAPPING, STREAM, {SHARD: at(1)})
            await store.enroll(OTHER_MAPPING, OTHER_STREAM, {SHARD: at(2)})
            mine = await acquired(store, A)
            theirs = await acquired(store, B, mapping=OTHER_MAPPING)
            assert await store.advance(mine, at(10))
            await store.finish(mine)
            assert await store.load(theirs) == at(2)
            assert await store.stream(OTHER_MAPPING) == OTHER_STREAM
            assert (await store.shards(OTHER_MAPPING))[SHARD].owner == B

    async def test_shards_shows_checkpoint_holder_epoch_and_end(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store, at(3))
            lease = await acquired(store, A)
            other = await acquired(store, B, shard=OTHER_SHARD)
            assert await state(store) == ShardState(checkpoint=at(3), owner=A, epoch=lease.epoch)
            assert await state(store, OTHER_SHARD) == ShardState(owner=B, epoch=other.epoch)
            await store.finish(lease)
            assert await state(store) == ShardState(checkpoint=at(3), finished=True, epoch=lease.epoch)

    async def test_shards_does_not_show_a_holder_whose_time_is_over(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await enrolled(store)
            lease = await acquired(store, A)
            await stores.elapse(TTL - 1)
            assert (await state(store)).owner == A
            await stores.elapse(1)
            assert await state(store) == ShardState(epoch=lease.epoch)

    async def test_what_was_written_is_there_for_the_next_connection(self, stores: Stores) -> None:
        async with stores.connect() as store:
            await store.enroll(MAPPING, STREAM, {SHARD: at(1), OTHER_SHARD: at(2)})
            lease = await acquired(store, A)
            ending = await acquired(store, A, shard=OTHER_SHARD)
            await store.advance(lease, at(5, bytes(range(256))))
            await store.finish(ending)
        async with stores.connect() as store:
            assert await store.stream(MAPPING) == STREAM
            assert await store.shards(MAPPING) == {
                SHARD: ShardState(checkpoint=at(5, bytes(range(256))), owner=A, epoch=lease.epoch),
                OTHER_SHARD: ShardState(checkpoint=at(2), finished=True, epoch=ending.epoch),
            }
            await store.renew(lease, TTL)

    async def test_every_connection_sees_the_same(self, stores: Stores) -> None:
        async with stores.connect() as one, stores.connect() as two:
            await enrolled(one)
            lease = await acquired(two, A)
            assert await one.advance(lease, at(4))
            assert await two.load(lease) == at(4)
            await two.release(lease)
            assert await one.acquire(MAPPING, SHARD, B, TTL) is not None
