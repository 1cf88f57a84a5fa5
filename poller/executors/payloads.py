"""The error objects that Lambda itself answers when the function cannot: it ran out of time, its process ended, or never began.

Shapes, key order and texts are those of Lambda's `Sandbox.Timedout` and `Runtime.ExitError`.
"""

from __future__ import annotations

import signal

import orjson


def timed_out(request_id: str, seconds: float) -> bytes:
    """The function did not answer within so many seconds."""
    return _error("Sandbox.Timedout", request_id, f"Task timed out after {max(0.0, seconds):.2f} seconds")


def out_of_time(request_id: str, text: str) -> bytes:
    """The same, in the words of whoever ended it."""
    return _error("Sandbox.Timedout", request_id, text)


def exited(request_id: str, status: int) -> bytes:
    """The function's process ended: with an exit status, by a signal (negative), or for no reason that it gave (0)."""
    if status == 0:
        return _error("Runtime.ExitError", request_id, "Runtime exited without providing a reason")
    return _error("Runtime.ExitError", request_id, f"Runtime exited with error: {how_it_ended(status)}")


def out_of_memory(request_id: str) -> bytes:
    """The function's processes were killed because they had more memory than they may."""
    return _error("Runtime.OutOfMemory", request_id, f"Runtime exited with error: {how_it_ended(-signal.SIGKILL)}")


def broken_off(request_id: str, reason: str) -> bytes:
    """The function's process was ended because nothing sensible could be expected of it any more."""
    return _error("Runtime.ExitError", request_id, f"Runtime exited with error: {reason}")


def not_started(request_id: str, reason: str) -> bytes:
    """The function's process could not be started."""
    return _error("Runtime.InvalidEntrypoint", request_id, reason)


def how_it_ended(status: int) -> str:
    """An exit status, or the negative number of a signal, in Lambda's words."""
    return f"exit status {status}" if status >= 0 else f"signal: {_signal_name(-status)}"


def _signal_name(number: int) -> str:
    return (signal.strsignal(number) or f"signal {number}").lower()


def _error(error_type: str, request_id: str, text: str) -> bytes:
    return orjson.dumps({"errorType": error_type, "errorMessage": f"RequestId: {request_id} Error: {text}"})
