"""A Kinesis stream as an on-failure destination: a record for each batch or message that was given up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from poller.core.report import FailureReport
from poller.telling import tell

if TYPE_CHECKING:
    from poller.core.report import Report, Shortened
    from poller.services import KinesisApi


@dataclass(frozen=True, slots=True, kw_only=True)
class KinesisDestination:
    """A `Destination`. A stream takes records of 1 MiB, of 10 MiB where it is told to.

    Attributes:
        include_payload: documents of streams hold the event that was given up, as text.
    """

    api: KinesisApi
    stream_arn: str
    include_payload: bool = False

    @property
    def kind(self) -> Literal["kinesis"]:
        """For metrics."""
        return "kinesis"

    async def send(self, report: Report) -> Shortened | None:
        """One record for each report."""
        key = partition_key(report)
        return await tell(report, lambda data: self.api.put_record(self.stream_arn, key, data), payload=self.include_payload)


def partition_key(report: Report) -> str:
    """Keeps what is given up in the order in which it was: by shard, for a batch may hold many keys; by group of a FIFO queue.

    Messages of a standard queue have no order, and spread by their ids.
    """
    if isinstance(report, FailureReport):
        return report.shard
    (record,) = report.records
    return record.group or record.id
