"""The Kinesis Api through aiobotocore, against kinesis-local."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest
import pytest_asyncio
from contract.kinesis_contract import KinesisContract, Misled
from contract.kinesis_service import Kinesis, served_by

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kinesis(kinesis_local: Server) -> AsyncIterator[Kinesis]:
    async with served_by(kinesis_local) as service:
        yield service


class TestKinesisLocal(KinesisContract):
    misleads: ClassVar[dict[str, Misled]] = {
        "test_behind_grows_with_the_age_of_what_is_left": Misled(
            reason="behind is the time between the last record of the page and the newest of the shard", raises=AssertionError
        ),
    }

    @pytest.mark.slow  # takes 20 s for 11 MB
    async def test_a_page_holds_ten_mebibytes_at_the_most(self, kinesis: Kinesis) -> None:
        await super().test_a_page_holds_ten_mebibytes_at_the_most(kinesis)
