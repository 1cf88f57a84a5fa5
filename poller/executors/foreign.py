"""Error objects that were made elsewhere: what kind of failure each one tells of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

import orjson

from poller.core.model import Errored

if TYPE_CHECKING:
    from poller.core.model import Figures

Kind = Literal["function_error", "timeout", "crash", "oom"]

KINDS: Final[dict[str, Kind]] = {
    "Sandbox.Timedout": "timeout",
    "Sandbox.Timeout": "timeout",
    "Runtime.OutOfMemory": "oom",
    "Runtime.ExitError": "crash",
    "Runtime.Crash": "crash",
    "Runtime.InvalidEntrypoint": "crash",
    "Extension.Crash": "crash",
    "Sandbox.Failure": "crash",
}
"""By `errorType`; every other one is the function's own error."""

OUT_OF_TIME: Final = re.compile(r"Task timed out after [0-9.]+ seconds\s*$")


def errored(payload: bytes, figures: Figures) -> Errored:
    """The answer of a function that failed, by its error object."""
    return Errored(kind_of(payload), payload, figures)


def kind_of(payload: bytes) -> Kind:
    """What the error object says of itself. A time-out of older sandboxes has a message and no type."""
    error = error_object(payload) or {}
    error_type = error.get("errorType")
    if not error_type and OUT_OF_TIME.search(str(error.get("errorMessage"))):
        return "timeout"
    return KINDS.get(error_type, "function_error") if isinstance(error_type, str) else "function_error"


def error_object(payload: bytes) -> dict[str, object] | None:
    """Lambda's error object, or None for what is none."""
    if b'"errorMessage"' not in payload:  # a large answer is not read twice for nothing
        return None
    try:
        error = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    return error if isinstance(error, dict) and "errorMessage" in error else None
