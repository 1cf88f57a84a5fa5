"""What an HTTP answer means: one table for the status, and what the Runtime Interface Emulator has of its own.

The emulator (aws-lambda-runtime-interface-emulator, `handlers.go`) answers 200 to everything that the runtime said, errors
included, without a header that tells them apart; 200 and a line of text when the function ran out of time; 502 with an error
object when its process ended; 400 without a body while it runs another invocation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import orjson

from poller.core.model import Errored, Refused, Returned, TooLarge
from poller.executors import payloads
from poller.executors.foreign import OUT_OF_TIME, error_object, errored
from poller.executors.worker import too_large

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poller.core.model import Answer, Figures
    from poller.executors.foreign import Kind
    from poller.executors.http_request import Protocol

EXCERPT: Final = 300
"""Characters of a body that an error quotes."""

LONGEST_PAUSE: Final = 300.0
"""Seconds: nobody holds up a mapping for longer by a Retry-After."""

MOVED: Final = frozenset({301, 302, 307, 308})
BAD_REQUEST, CONTENT_TOO_LARGE, TOO_MANY_REQUESTS = 400, 413, 429
UNAVAILABLE = 503
BROKEN: Final[dict[int, Kind]] = {502: "crash", 504: "timeout"}
"""What a gateway says when the function behind it hung up, or was too slow: it may have run, and it may do so each time."""

EMULATOR_FAILED: Final = frozenset({500, 502, 504})
ERROR_HEADERS: Final = ("lambda-runtime-function-error-type", "x-amz-function-error")
HTTP_ERROR: Final = "Function.HttpError"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer.

    Attributes:
        headers: of any spelling; looked up without regard to case.
        body: all of it; of one that is too large, its beginning.
        size: of the whole body in bytes as far as it is known, where it is too large; else 0.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    size: int = 0

    @property
    def line(self) -> str:
        """The status as a person reads it."""
        return f"HTTP {self.status} {self.reason}".rstrip()

    @property
    def excerpt(self) -> str:
        """The beginning of the body on one line, behind a colon; empty where there is none."""
        text = " ".join(self.body[: 4 * EXCERPT].decode("utf-8", "replace").split())[:EXCERPT]
        return f": {''.join(each if each.isprintable() else '?' for each in text)}" if text else ""


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
    good = reply.status // 100 == 2  # noqa: PLR2004 - the class of the status
    if good and reply.size:
        return Errored("function_error", too_large(reply.size), asked.figures)
    if asked.protocol == "rie" and (answer := _of_emulator(reply, asked)) is not None:
        return answer
    return _succeeded(reply, asked) if good else _refused(reply, asked) or _failed(reply, asked)


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
            "function_error", _error(HTTP_ERROR, asked, f"the answer is encoded ({encoding[:50]}), unasked"), asked.figures
        )
    flagged = next((reply.headers[name] for name in ERROR_HEADERS if name in reply.headers), None)
    if flagged is None:
        return Returned(reply.body, asked.figures)
    if error_object(reply.body) is not None:
        return errored(reply.body, asked.figures)
    return errored(_error(flagged[:EXCERPT], asked, reply.excerpt.removeprefix(": ") or "no error message"), asked.figures)


def _refused(reply: Reply, asked: Asked) -> Refused | TooLarge | None:
    """Where the function did not run; None: it may have."""
    detail = f"{reply.line}{reply.excerpt}"
    if reply.status == CONTENT_TOO_LARGE:
        return TooLarge(asked.event_size)
    if reply.status == TOO_MANY_REQUESTS:
        return Refused("throttled", _pause(reply, asked.now), detail)
    if reply.status == UNAVAILABLE:
        return Refused("unavailable", _pause(reply, asked.now), detail)
    if reply.status in MOVED:
        target = reply.headers.get("location", "nowhere")[:EXCERPT]
        return Refused(
            "unavailable", detail=f"{reply.line}: redirects are not followed; it says that the function is at {target}"
        )
    return None


def _failed(reply: Reply, asked: Asked) -> Answer:
    if error_object(reply.body) is not None:
        return errored(reply.body, asked.figures)
    kind = BROKEN.get(reply.status, "function_error")
    return Errored(kind, _error(HTTP_ERROR, asked, f"{reply.line}{reply.excerpt}"), asked.figures)


def _pause(reply: Reply, now: float) -> float | None:
    """Seconds of a Retry-After, which is a number of them or a date; None where there is none that can be read."""
    text = reply.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(float(text), LONGEST_PAUSE)
    try:
        moment = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, moment - now), LONGEST_PAUSE)


def _error(error_type: str, asked: Asked, text: str) -> bytes:
    return orjson.dumps({"errorType": error_type, "errorMessage": f"RequestId: {asked.request_id} Error: {text}"})
