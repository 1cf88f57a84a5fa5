"""A standard SNS topic as an on-failure destination: of a stream it gets documents, of a queue the messages themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never, cast

from poller.core.report import FailureReport, MessageReport, document

if TYPE_CHECKING:
    from poller.core.report import Report
    from poller.services import SnsApi, SqsAttribute


@dataclass(frozen=True, slots=True, kw_only=True)
class SnsDestination:
    """A `Destination`.

    Attributes:
        include_payload: documents of streams hold the event that was given up, as text. SNS takes 256 KB.
    """

    api: SnsApi
    topic_arn: str
    include_payload: bool = False

    @property
    def kind(self) -> Literal["sns"]:
        """For metrics."""
        return "sns"

    async def send(self, report: Report) -> None:
        """One publication for each report."""
        match report:
            case FailureReport():
                await self.api.publish(self.topic_arn, document(report, payload=self.include_payload).decode())
            case MessageReport():
                attributes = {name: cast("SqsAttribute", given) for name, given in report.attributes.items()}
                await self.api.publish(self.topic_arn, report.body, attributes)
            case _:
                assert_never(report)
