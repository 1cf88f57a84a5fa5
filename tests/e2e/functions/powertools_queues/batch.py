"""A handler as it runs on Lambda today, with Powertools' batch utility for SQS: nothing in it knows of the poller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

processor = BatchProcessor(event_type=EventType.SQS)
logger = Logger(service="orders")


def record_handler(record: SQSRecord) -> None:
    """Fails where the body is no JSON object with an id, or nobody is named as its author."""
    order, author = record.json_body["id"], record.message_attributes["author"]
    if author is None:
        raise ValueError("an order without its author")
    receives = int(record.attributes.approximate_receive_count)
    logger.info("order", extra={"order": order, "author": author.string_value, "receives": receives})


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """What Lambda invokes."""
    return process_partial_response(event=event, record_handler=record_handler, processor=processor, context=context)
