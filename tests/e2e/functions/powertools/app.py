"""A handler as it runs on Lambda today, with Powertools' batch utility: nothing in it knows of the poller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import KinesisStreamRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

processor = BatchProcessor(event_type=EventType.KinesisDataStreams)
logger = Logger(service="orders")


def record_handler(record: KinesisStreamRecord) -> None:
    """Fails where the data is no JSON object with an id."""
    order = record.kinesis.data_as_json()
    logger.info("order", extra={"order": order["id"], "key": record.kinesis.partition_key})


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """What Lambda invokes."""
    return process_partial_response(event=event, record_handler=record_handler, processor=processor, context=context)
