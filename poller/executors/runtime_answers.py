"""What the Runtime API answers, as bytes: status lines, fields and JSON as Lambda's Runtime Interface Emulator has them."""

from __future__ import annotations

import base64
import binascii
from contextlib import suppress
from typing import TYPE_CHECKING

import orjson

from poller.executors.worker import MAX_ANSWER_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poller.executors.runtime_requests import Request
    from poller.executors.worker import Call

ERROR_TYPE = b"lambda-runtime-function-error-type"
ERROR_BODY = b"lambda-runtime-function-error-body"
WITH_CAUSE = b"application/vnd.aws.lambda.error.cause+json"
SHOWN = ("errorMessage", "errorType", "stackTrace")
"""What callers see of an error that is sent with its cause."""

UNKNOWN_ERROR = "Runtime.Unknown"


def invocation(call: Call, size: int) -> bytes:
    """The head of an event of so many bytes. Client context and Cognito identity are not for event sources."""
    trace = f"Lambda-Runtime-Trace-Id: {call.trace}\r\n" if call.trace else ""
    return (
        "HTTP/1.1 200 OK\r\n"
        "Content-Type: application/json\r\n"
        f"Lambda-Runtime-Aws-Request-Id: {call.request_id}\r\n"
        f"Lambda-Runtime-Deadline-Ms: {int(call.deadline * 1000)}\r\n"
        f"Lambda-Runtime-Invoked-Function-Arn: {call.arn}\r\n"
        f"{trace}Content-Length: {size}\r\n\r\n"
    ).encode()


def _json(status: str, content: Mapping[str, str]) -> bytes:
    body = orjson.dumps(content)
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _refusal(status: str, error_type: str, text: str) -> bytes:
    return _json(status, {"errorMessage": text, "errorType": error_type})


ACCEPTED = _json("202 Accepted", {"status": "OK"})
INVALID_REQUEST_ID = _refusal("400 Bad Request", "InvalidRequestID", "Invalid request ID")
INVALID_RESPONSE_MODE = _refusal("400 Bad Request", "InvalidFunctionResponseMode", "Invalid function response mode")
NOT_FOUND = _refusal("404 Not Found", "NotFound", "There is nothing at this path")
NOT_ALLOWED = _refusal("405 Method Not Allowed", "MethodNotAllowed", "This path is asked for with another method")
TOO_LARGE = _refusal(
    "413 Request Entity Too Large", "RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({MAX_ANSWER_BYTES} bytes)."
)


def invalid_transition(state: str, wanted: str) -> bytes:
    """What was asked for has its time, and this is not it."""
    text = f"State transition from {state} to {wanted} failed for runtime. Error: State transition is not allowed"
    return _refusal("403 Forbidden", "InvalidStateTransition", text)


def error_of(request: Request) -> bytes:
    """Lambda's error object, from the body of a request that reports one. What is no object becomes the message of one."""
    error_type = request.head.fields.values.get(ERROR_TYPE, b"").decode("utf-8", "replace")
    with_cause = request.head.fields.values.get(b"content-type", b"").lower() == WITH_CAUSE
    return _error(request.body, error_type, with_cause=with_cause)


def error_in_trailers(request: Request) -> bytes | None:
    """The error that ended a streamed answer; None where none did."""
    error_type, body = request.trailers.get(ERROR_TYPE), request.trailers.get(ERROR_BODY, b"")
    if error_type is None and not body:
        return None
    with suppress(binascii.Error):  # what is no base64 is shown as it is
        body = base64.b64decode(body, validate=True)
    return _error(body, (error_type or b"").decode("utf-8", "replace"), with_cause=False)


def _error(body: bytes, error_type: str, *, with_cause: bool) -> bytes:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        return error_object(error_type or UNKNOWN_ERROR, body.decode("utf-8", "replace"))
    if with_cause:
        return orjson.dumps({name: content[name] for name in SHOWN if name in content})
    return body


def error_object(error_type: str, text: str) -> bytes:
    """Lambda's error object, of the two members that all of them have."""
    return orjson.dumps({"errorType": error_type, "errorMessage": text})
