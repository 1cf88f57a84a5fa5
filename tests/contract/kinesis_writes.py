"""What every `KinesisApi` does where a record is put: a part of the suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from contract.kinesis_service import data_of
from support.aws import encoded

from poller.errors import SourceGone, Unavailable

if TYPE_CHECKING:
    from contract.kinesis_service import Kinesis

MEBIBYTE = 1024 * 1024


class KinesisWrites:
    """The suite. See `kinesis_contract`."""

    async def test_a_record_that_is_put_is_there_with_its_key(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream()
        for data in (b"first", b"\x00\xff"):
            await kinesis.api.put_record(arn, "shardId-000000000001", data)
        found = await kinesis.read(arn, await kinesis.horizon(arn))
        assert data_of(found) == [encoded(b"first"), encoded(b"\x00\xff")]
        assert [each["PartitionKey"] for each in found] == ["shardId-000000000001"] * 2

    async def test_a_record_for_a_stream_that_does_not_exist_is_not_put(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream() + "-not"
        with pytest.raises(SourceGone, match=arn):
            await kinesis.api.put_record(arn, "key", b"x")

    async def test_a_record_that_is_too_large_is_refused_for_what_it_is(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream()
        with pytest.raises(Unavailable) as caught:
            await kinesis.api.put_record(arn, "key", b"x" * (MEBIBYTE + 1))
        assert caught.value.kind == "other"
