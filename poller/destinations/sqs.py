"""An SQS queue as an on-failure destination: of a stream it gets documents, of a queue the messages themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never, cast

from poller.core.report import FailureReport, MessageReport, document
from poller.services import InGroup

if TYPE_CHECKING:
    from poller.core.report import Report
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

    async def send(self, report: Report) -> None:
        """One message for each report."""
        match report:
            case FailureReport():
                await self.api.send_message(self.queue_arn, document(report, payload=self.include_payload).decode())
            case MessageReport():
                attributes = {name: cast("SqsAttribute", given) for name, given in report.attributes.items()}
                await self.api.send_message(self.queue_arn, report.body, attributes, self._place(report))
            case _:
                assert_never(report)

    def _place(self, report: MessageReport) -> InGroup | None:
        """A FIFO queue keeps the groups, and their order, of the one that the message comes from."""
        if not self.queue_arn.endswith(".fifo"):
            return None
        return InGroup(report.records[0].group, report.deduplication or report.records[0].id)
