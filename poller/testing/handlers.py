"""The functions that `ExecutorContract` calls, in Python. One in another language answers the same under the same names.

This file imports nothing of `poller`, so that any Python from 3.8 on can run it: `code` is its folder, the handlers are called
`handlers.echo` and so on. `event` below is the parsed JSON; answers are JSON too.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 10.0


def echo(event: Any, context: Any) -> Any:
    """Returns the event as it is."""
    return event


def nothing(event: Any, context: Any) -> None:
    """Returns nothing, which is answered as `null`. Gets events of 6 MiB."""
    return None  # noqa: RET501 - that is what it is about


def unicode(event: Any, context: Any) -> Any:
    """Returns this very text, which has two bytes, three and four in UTF-8, and the event."""
    return {"text": "Grüße, 世界 😀 \u2028", "event": event}


def partial(event: Any, context: Any) -> Any:
    """Reports every record of the event that is `bad` by its `id`."""
    return {"batchItemFailures": [{"itemIdentifier": each["id"]} for each in event["Records"] if each["bad"]]}


def raising(event: Any, context: Any) -> Any:
    """Raises an error of type ValueError with the event's `message`, from a function `innermost` that it calls."""
    return innermost(event["message"])


def innermost(message: str) -> Any:
    """The innermost frame of `raising`."""
    raise ValueError(message)


def fails_if_told(event: Any, context: Any) -> Any:
    """Raises any error if the event's `fail` is true, else returns `fine`."""
    if event["fail"]:
        raise RuntimeError("told to")
    return "fine"


def unserialisable(event: Any, context: Any) -> Any:
    """Returns what has no JSON form."""
    return {"a": object()}


def large(event: Any, context: Any) -> Any:
    """Returns text of so many `x` that the answer, its quotes included, has as many bytes as the event's `size`."""
    return "x" * (event["size"] - 2)


def sleeping(event: Any, context: Any) -> Any:
    """Does nothing for as many `seconds` as the event says, then returns `awake`."""
    time.sleep(event["seconds"])
    return "awake"


def describing(event: Any, context: Any) -> Any:
    """Returns what its context says; names that a language spells otherwise (`awsRequestId`) are given as here."""
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
    """Makes the file `mine`, waits up to 10 s for the file `other`, and returns `met`; `alone` where it did not come.

    Another invocation does the same the other way round: both run at the same time.
    """
    Path(event["mine"]).touch()
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if Path(event["other"]).exists():
            return "met"
        time.sleep(0.005)
    return "alone"


def ticking(event: Any, context: Any) -> Any:
    """Does harm: appends a byte to `file` every 10 ms, `ticks` times, then returns `harm done`."""
    with Path(event["file"]).open("a") as file:
        for _ in range(event["ticks"]):
            file.write("x")
            file.flush()
            time.sleep(0.01)
    return "harm done"
