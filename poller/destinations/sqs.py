"""An SQS queue as an on-failure destination: of a stream it gets documents, of a queue the messages themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never, cast

from poller.core.report import FailureReport, MessageReport
from poller.services import InGroup
from poller.telling import tell

if TYPE_CHECKING:
    from poller.core.report import Report, Shortened
    from poller.services import SqsApi, SqsAttribute


@dataclass(frozen=True, slots=True, kw_only=True)
class SqsDestination:
    """A `Destination`. Unlike Lambda's, which tries once and drops, the caller keeps trying until the queue has the message.

    Attributes:
        include_payload: documents of streams hold the event that was given up, as text. SQS takes 1 MB.
    """

    api: SqsApi
    queue_arn: str
    include_payload: bool = False

    @property
    def kind(self) -> Literal["sqs"]:
        """For metrics."""
        return "sqs"

    async def send(self, report: Report) -> Shortened | None:
        """One message for each report."""
        match report:
            case FailureReport():
                return await tell(report, self._send, payload=self.include_payload)
            case MessageReport():
                attributes = {name: cast("SqsAttribute", given) for name, given in report.attributes.items()}
                await self.api.send_message(self.queue_arn, report.body, attributes, self._place(report))
                return None
            case _:
                assert_never(report)

    async def _send(self, told: bytes) -> None:
        await self.api.send_message(self.queue_arn, told.decode())

    def _place(self, report: MessageReport) -> InGroup | None:
        """A FIFO queue keeps the groups, and their order, of the one that the message comes from."""
        if not self.queue_arn.endswith(".fifo"):
            return None
        return InGroup(report.records[0].group, report.deduplication or report.records[0].id)
