"""The Kinesis Api through aiobotocore, against ministack."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest
import pytest_asyncio
from contract.kinesis_contract import KinesisContract, Misled
from contract.kinesis_service import Kinesis, served_by

from poller.errors import IteratorExpired, SourceGone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kinesis(ministack: Server) -> AsyncIterator[Kinesis]:
    async with served_by(ministack) as service:
        yield service


RESHARDING = "a shard that is split or merged vanishes with its records"


class TestMinistack(KinesisContract):
    misleads: ClassVar[dict[str, Misled]] = {
        "test_a_split_shard_stays_listed_with_its_children": Misled(reason=RESHARDING, raises=AssertionError),
        "test_a_merged_shard_has_two_parents": Misled(reason=RESHARDING, raises=AssertionError),
        "test_a_closed_shard_gives_its_records_and_then_ends": Misled(reason=RESHARDING, raises=SourceGone),
        "test_a_shard_that_is_closed_while_a_reader_is_at_its_tip_ends": Misled(reason=RESHARDING, raises=SourceGone),
        "test_at_the_last_sequence_number_of_a_closed_shard_that_record_comes_and_the_end": Misled(
            reason=RESHARDING, raises=SourceGone
        ),
        "test_the_end_of_a_split_shard_names_its_children": Misled(reason=RESHARDING, raises=SourceGone),
        "test_the_child_of_a_merge_is_named_by_both_parents_with_both": Misled(reason=RESHARDING, raises=SourceGone),
        "test_latest_of_a_closed_shard_is_its_end": Misled(reason=RESHARDING, raises=SourceGone),
        "test_children_take_the_records_put_after_the_split": Misled(reason=RESHARDING, raises=SourceGone),
        "test_a_page_holds_ten_mebibytes_at_the_most": Misled(
            reason="a page has no limit but its number of records", raises=AssertionError
        ),
        "test_a_deleted_stream_is_gone_for_its_iterators_too": Misled(
            reason="the iterators of a deleted stream are said to have expired", raises=IteratorExpired
        ),
    }
