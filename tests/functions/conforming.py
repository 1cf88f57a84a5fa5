"""Handlers that every executor runs alike. `conforming_async` has the same as coroutines."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 10.0


def echo(event: Any, context: Any) -> Any:
    return event


def nothing(event: Any, context: Any) -> None:
    return None


def unicode(event: Any, context: Any) -> Any:
    return {"text": "Grüße, 世界 😀 \u2028", "event": event}


def partial(event: Any, context: Any) -> Any:
    return {"batchItemFailures": [{"itemIdentifier": each["id"]} for each in event["Records"] if each["bad"]]}


def raising(event: Any, context: Any) -> Any:
    return innermost(event["message"])


def innermost(message: str) -> Any:
    raise ValueError(message)


def fails_if_told(event: Any, context: Any) -> Any:
    if event["fail"]:
        raise RuntimeError("told to")
    return "fine"


def unserialisable(event: Any, context: Any) -> Any:
    return {"a": object()}


def large(event: Any, context: Any) -> Any:
    return "x" * (event["size"] - 2)


def sleeping(event: Any, context: Any) -> Any:
    time.sleep(event["seconds"])
    return "awake"


def describing(event: Any, context: Any) -> Any:
    names = (
        "aws_request_id",
        "function_name",
        "function_version",
        "invoked_function_arn",
        "memory_limit_in_mb",
        "log_group_name",
    )
    seen = {name: getattr(context, name) for name in names}
    seen["log_stream_is_text"] = isinstance(context.log_stream_name, str)
    seen["client_context"] = context.client_context
    seen["tenant_id"] = context.tenant_id
    seen["identity"] = [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id]
    seen["remaining"] = context.get_remaining_time_in_millis()
    return seen


def meeting(event: Any, context: Any) -> Any:
    """Returns once another invocation has come as far as this: both run at the same time."""
    Path(event["mine"]).touch()
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if Path(event["other"]).exists():
            return "met"
        time.sleep(0.005)
    return "alone"


def ticking(event: Any, context: Any) -> Any:
    """Does harm, a byte at a time."""
    with Path(event["file"]).open("a") as file:
        for _ in range(event["ticks"]):
            file.write("x")
            file.flush()
            time.sleep(0.01)
    return "harm done"
