"""What an HTTP answer means: one table for the status, and what the Runtime Interface Emulator has of its own.

The emulator (aws-lambda-runtime-interface-emulator, `handlers.go`) answers 200 to everything that the runtime said, errors
included, without a header that tells them apart; 200 and a line of text when the function ran out of time; 502 with an error
object when its process ended; 400 without a body while it runs another invocation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from poller.core.model import Errored, Refused, Returned, TooLarge
from poller.executors import payloads
from poller.executors.foreign import OUT_OF_TIME, error_object, errored
from poller.executors.worker import too_large
from poller.web.reply import EXCERPT, MOVED, shown

if TYPE_CHECKING:
    from poller.core.model import Answer, Figures
    from poller.executors.foreign import Kind
    from poller.executors.http_request import Protocol
    from poller.web.reply import Reply

BAD_REQUEST, CONTENT_TOO_LARGE, TOO_MANY_REQUESTS = 400, 413, 429
UNAVAILABLE = 503
BROKEN: Final[dict[int, Kind]] = {502: "crash", 504: "timeout"}
"""What a gateway says when the function behind it hung up, or was too slow: it may have run, and it may do so each time."""

EMULATOR_FAILED: Final = frozenset({500, 502, 504})
ERROR_HEADERS: Final = ("lambda-runtime-function-error-type", "x-amz-function-error")
HTTP_ERROR: Final = "Function.HttpError"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked, and when.

    Attributes:
        event_size: in bytes.
        now: Unix seconds.
    """

    protocol: Protocol
    request_id: str
    event_size: int
    now: float
    figures: Figures


def judge(reply: Reply, asked: Asked) -> Answer:
    """The answer of the executor."""
    if reply.good and reply.size:
        return Errored("function_error", too_large(reply.size), asked.figures)
    if asked.protocol == "rie" and (answer := _of_emulator(reply, asked)) is not None:
        return answer
    return _succeeded(reply, asked) if reply.good else _refused(reply, asked) or _failed(reply, asked)


# ------------------------------------------------------------------------------------------------------------------- emulators


def _of_emulator(reply: Reply, asked: Asked) -> Answer | None:
    """What only the emulator says; None: judge it as anybody's answer."""
    nothing = not reply.body.strip()
    if reply.status == BAD_REQUEST and nothing:
        return Refused("throttled", detail="the emulator runs another invocation: it runs one at a time (maximum_concurrency)")
    if reply.status in EMULATOR_FAILED:
        if nothing:
            return Errored("crash", payloads.exited(asked.request_id, 0), asked.figures)
        return errored(reply.body, asked.figures) if error_object(reply.body) is not None else None
    return _told_by_runtime(reply, asked, nothing=nothing) if reply.status == 200 else None  # noqa: PLR2004 - OK


def _told_by_runtime(reply: Reply, asked: Asked, *, nothing: bool) -> Answer | None:
    if nothing:  # a runtime always says something, "null" if need be: this one ended
        return Errored("crash", payloads.exited(asked.request_id, 0), asked.figures)
    text = reply.body[:EXCERPT]
    if text.startswith(b"Task timed out after ") and OUT_OF_TIME.fullmatch(text.decode("utf-8", "replace")):
        return Errored("timeout", payloads.out_of_time(asked.request_id, text.decode().strip()), asked.figures)
    error = error_object(reply.body)
    if error is None or not isinstance(error.get("errorType"), str) or {"statusCode", "batchItemFailures"} & error.keys():
        return None
    return errored(reply.body, asked.figures)


# ---------------------------------------------------------------------------------------------------------------------- anybody


def _succeeded(reply: Reply, asked: Asked) -> Answer:
    encoding = reply.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        return Errored(
            "function_error", _error(HTTP_ERROR, asked, f"the answer is encoded ({shown(encoding)}), unasked"), asked.figures
        )
    flagged = next((reply.headers[name] for name in ERROR_HEADERS if name in reply.headers), None)
    if flagged is None:
        return Returned(reply.body, asked.figures)
    if error_object(reply.body) is not None:
        return errored(reply.body, asked.figures)
    return errored(_error(shown(flagged), asked, reply.excerpt.removeprefix(": ") or "no error message"), asked.figures)


def _refused(reply: Reply, asked: Asked) -> Refused | TooLarge | None:
    """Where the function did not run; None: it may have."""
    detail = f"{reply.line}{reply.excerpt}"
    if reply.status == CONTENT_TOO_LARGE:
        return TooLarge(asked.event_size)
    if reply.status == TOO_MANY_REQUESTS:
        return Refused("throttled", reply.pause(asked.now), detail)
    if reply.status == UNAVAILABLE:
        return Refused("unavailable", reply.pause(asked.now), detail)
    if reply.status in MOVED:
        text = f"{reply.line}: redirects are not followed; it says that the function is at {reply.target}"
        return Refused("unavailable", detail=text)
    return None


def _failed(reply: Reply, asked: Asked) -> Answer:
    if error_object(reply.body) is not None:
        return errored(reply.body, asked.figures)
    kind = BROKEN.get(reply.status, "function_error")
    return Errored(kind, _error(HTTP_ERROR, asked, f"{reply.line}{reply.excerpt}"), asked.figures)


def _error(error_type: str, asked: Asked, text: str) -> bytes:
    return orjson.dumps({"errorType": error_type, "errorMessage": f"RequestId: {asked.request_id} Error: {text}"})
