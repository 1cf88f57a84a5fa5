"""An S3 bucket as an on-failure destination: an object for each batch or message that was given up.

Source of the key and of the payload as text: AWS Lambda developer guide, "Retaining discarded batches"; of the content type,
recordings. For a queue, which Lambda does not report to S3, the key has the queue's name in the place of the shard.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from poller.core.report import document, place_of
from poller.telling import report_id

if TYPE_CHECKING:
    from poller.core.report import Report
    from poller.services import S3Api


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Destination:
    """A `Destination`. A report that is sent again after a lost answer takes the place of the first."""

    api: S3Api
    bucket: str

    @property
    def kind(self) -> Literal["s3"]:
        """For metrics."""
        return "s3"

    async def send(self, report: Report) -> None:
        """One object for each report; it always has the payload."""
        await self.api.put_object(self.bucket, object_key(report), document(report, payload=True))


def object_key(report: Report) -> str:
    """`aws/lambda/UUID/SHARD/2019/11/14/2019-11-14T00.38.06-UUID`, UTC; the last follows from what was given up, and when."""
    at = datetime.fromtimestamp(report.at, UTC)
    return f"aws/lambda/{report.mapping}/{place_of(report)}/{at:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{report_id(report)}"
