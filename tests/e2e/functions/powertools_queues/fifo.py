"""A handler as it runs on Lambda today, with Powertools' batch utility for FIFO queues: nothing in it knows of the poller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

processor = SqsFifoPartialProcessor(skip_group_on_error=True)
logger = Logger(service="orders")


def record_handler(record: SQSRecord) -> None:
    """Fails where the message asks for it, in its first delivery."""
    order, group = record.json_body, record.attributes.message_group_id
    if order.get("fails") and record.attributes.approximate_receive_count == "1":
        raise ValueError(order["id"])
    logger.info("order", extra={"order": order["id"], "group": group})


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """What Lambda invokes."""
    return process_partial_response(event=event, record_handler=record_handler, processor=processor, context=context)
