"""What an answer means for a mapping: the table of ReportBatchItemFailures, the same for streams and queues.

Source: AWS Lambda developer guide, "Configuring partial batch response", and recordings of what AWS does where it is silent.
Executors know nothing of this; they hand over bytes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, assert_never

import orjson

from poller.core.model import Accepted, Errored, Failed, Partial, Refused, Returned, TooLarge
from poller.core.windows import state_of

if TYPE_CHECKING:
    from poller.core.model import Answer, Attempt, FailureKind, Outcome

ERROR_TEXT_LIMIT = 500
UNTYPED: Final[dict[FailureKind, str]] = {"timeout": "Sandbox.Timedout"}
"""The type of an error object that has none: older sandboxes say in words only that the time was over."""

NO_JSON = Failed("batch_item", "the answer is not JSON")


def read(answer: Answer, attempt: Attempt, *, report_batch_item_failures: bool) -> Outcome:
    """The outcome of an attempt. The answer's body counts only with `report_batch_item_failures`, or in a tumbling window."""
    match answer:
        case Returned():
            return _returned(answer.payload, attempt, report_batch_item_failures=report_batch_item_failures)
        case Errored():
            return Failed(answer.kind, error_text(answer.payload), error_type(answer.payload) or UNTYPED.get(answer.kind, ""))
        case TooLarge():
            return Failed("invoke_error", f"the event of {answer.size} bytes is too large for the function")
        case Refused():
            return answer
    assert_never(answer)


def _returned(payload: bytes, attempt: Attempt, *, report_batch_item_failures: bool) -> Outcome:
    """In a window every answer must hold a state, also the one that closes it; that of the last is dropped with the window."""
    state = None if attempt.window is None else state_of(payload)
    if isinstance(state, Failed):
        return state
    outcome = _partial(payload, attempt) if report_batch_item_failures else Accepted()
    if attempt.window is None or attempt.window.final or isinstance(outcome, Failed):
        return outcome
    return replace(outcome, state=state)


def error_text(payload: bytes) -> str:
    """`errorType: errorMessage` of Lambda's error object, on one line, cut to a length that a log can bear."""
    try:
        error = orjson.loads(payload)
        text = f"{error['errorType']}: {error['errorMessage']}"
    except (orjson.JSONDecodeError, KeyError, TypeError):
        text = payload[:ERROR_TEXT_LIMIT].decode("utf-8", "replace")
    return " ".join(text.split())[:ERROR_TEXT_LIMIT]


def error_type(payload: bytes) -> str:
    """`errorType` of Lambda's error object; empty where the payload is none."""
    try:
        named = orjson.loads(payload)["errorType"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
    return named if isinstance(named, str) else ""


def _partial(payload: bytes, attempt: Attempt) -> Accepted | Partial | Failed:
    """The table: nothing reported is success, valid ids are partial, everything else fails the whole attempt."""
    if not payload.strip():
        return Accepted()
    try:
        answer = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return NO_JSON
    failures = answer.get("batchItemFailures") if isinstance(answer, dict) else None
    if failures is None or failures == []:
        return Accepted()
    if not isinstance(failures, list):
        return Failed("batch_item", "batchItemFailures is not a list")
    return _named(failures, attempt)


def _named(failures: list[object], attempt: Attempt) -> Partial | Failed:
    known = {record.id for record in attempt.records}
    failed: set[str] = set()
    for failure in failures:
        name = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        if not isinstance(name, str) or name not in known:
            shown = orjson.dumps(failure).decode()[:ERROR_TEXT_LIMIT]
            return Failed("batch_item", f"batchItemFailures names no record of the batch: {shown}")
        failed.add(name)
    return Partial(frozenset(failed))
