"""A handler as it runs on Lambda today, with Powertools' idempotency utility on Redis: nothing in it knows of the poller."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.persistence.redis import RedisCachePersistenceLayer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

processor = BatchProcessor(event_type=EventType.SQS)
logger = Logger(service="orders")
config = IdempotencyConfig(event_key_jmespath="messageId")
persistence = RedisCachePersistenceLayer(url=os.environ["REDIS_URL"])


@idempotent_function(data_keyword_argument="record", config=config, persistence_store=persistence)  # type: ignore[untyped-decorator]  # of Powertools
def charge(record: SQSRecord) -> str:
    """What must not be done twice for one message."""
    order = str(record.json_body["id"])
    logger.info("charged", extra={"order": order})
    return order


def record_handler(record: SQSRecord) -> None:
    """Fails after the order was charged, in its first delivery."""
    order = charge(record=record)
    if record.attributes.approximate_receive_count == "1":
        raise ValueError(f"the mail for {order} could not be sent")
    logger.info("done", extra={"order": order})


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """What Lambda invokes."""
    config.register_lambda_context(context)
    return process_partial_response(event=event, record_handler=record_handler, processor=processor, context=context)
