"""A standard SNS topic as an on-failure destination: of a stream it gets documents, of a queue the messages themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never, cast

from poller.core.report import FailureReport, MessageReport
from poller.telling import tell

if TYPE_CHECKING:
    from poller.core.report import Report, Shortened
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

    async def send(self, report: Report) -> Shortened | None:
        """One publication for each report."""
        match report:
            case FailureReport():
                return await tell(report, self._publish, payload=self.include_payload)
            case MessageReport():
                attributes = {name: cast("SqsAttribute", given) for name, given in report.attributes.items()}
                await self.api.publish(self.topic_arn, report.body, attributes)
                return None
            case _:
                assert_never(report)

    async def _publish(self, told: bytes) -> None:
        await self.api.publish(self.topic_arn, told.decode())
