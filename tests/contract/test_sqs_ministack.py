"""The SQS Api through aiobotocore, against ministack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from contract.sqs_contract import SqsContract
from contract.sqs_service import Sqs, served_by

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sqs(ministack: Server) -> AsyncIterator[Sqs]:
    async with served_by(ministack) as service:
        yield service


class TestMinistack(SqsContract):
    pass
