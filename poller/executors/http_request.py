"""What an invocation looks like as an HTTP request.

Names are Lambda's where it has one: those of the Runtime API, in which a function hears of its invocation. A CloudEvent is in
binary mode (CloudEvents 1.0, HTTP protocol binding): its data is the event, its attributes are headers.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from poller.core.model import Invocation

Protocol = Literal["rie", "raw", "cloudevents"]

EVENT_TYPE: Final = "com.amazonaws.lambda.invocation"
MILLISECONDS: Final = 1000
XRAY: Final = re.compile(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24});(?:.*;)?Parent=([0-9a-f]{16})(?:;(?:.*;)?Sampled=([01]))?")


def headers_of(protocol: Protocol, invocation: Invocation, arn: str, now: float) -> dict[str, str]:
    """The headers of one request. `arn` is what the function is called; `now` in Unix seconds."""
    headers = {
        "Content-Type": "application/json",
        "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
        "Lambda-Runtime-Deadline-Ms": str(round(invocation.deadline * MILLISECONDS)),
        "Lambda-Runtime-Invoked-Function-Arn": arn,
    }
    parent = None
    if invocation.trace is not None:
        headers |= {"Lambda-Runtime-Trace-Id": invocation.trace, "X-Amzn-Trace-Id": invocation.trace}
        parent = trace_parent(invocation.trace)
        headers |= {} if parent is None else {"traceparent": parent}
    if protocol == "rie":
        headers["X-Amzn-RequestId"] = invocation.request_id  # newer emulators take it for their own
    if protocol == "cloudevents":
        headers |= _cloud_event(invocation, arn, now) | ({} if parent is None else {"ce-traceparent": parent})
    return headers


def _cloud_event(invocation: Invocation, arn: str, now: float) -> dict[str, str]:
    """The attributes. The id is that of an unchanged retry too, so that it can be recognised."""
    return {
        "ce-specversion": "1.0",
        "ce-id": invocation.request_id,
        "ce-source": arn or "urn:poller",
        "ce-type": EVENT_TYPE,
        "ce-time": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def trace_parent(trace: str) -> str | None:
    """X-Ray's trace header as the W3C's `traceparent`; None where it has no parent to name."""
    found = XRAY.fullmatch(trace)
    return f"00-{found[1]}{found[2]}-{found[3]}-0{found[4] or 0}" if found else None
