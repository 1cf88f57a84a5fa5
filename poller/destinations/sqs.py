"""A standard SQS queue as an on-failure destination: the document is the message's body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import orjson

if TYPE_CHECKING:
    from poller.core.report import FailureReport
    from poller.ports import SqsApi


@dataclass(frozen=True, slots=True, kw_only=True)
class SqsDestination:
    """A `Destination`. Unlike Lambda's, which tries once and drops, the caller keeps trying until the queue has the message."""

    api: SqsApi
    queue_arn: str

    @property
    def kind(self) -> Literal["sqs"]:
        """For metrics."""
        return "sqs"

    async def send(self, report: FailureReport) -> None:
        """One message for each report."""
        await self.api.send_message(self.queue_arn, orjson.dumps(report.document).decode())
