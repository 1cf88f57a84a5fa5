"""Calls one of the suite's handlers as a command: `run_handler.py HANDLERS_FILE NAME`, event on stdin, answer on stdout."""

from __future__ import annotations

import json
import runpy
import sys
import traceback


def main(file: str, name: str) -> int:
    """The exit status; an error is described as Lambda does."""
    try:
        event = json.loads(sys.stdin.buffer.read())
    except ValueError as error:
        return fail("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}")
    try:
        answer = runpy.run_path(file)[name](event, None)
    except Exception as error:
        traceback.print_exc()
        return fail(type(error).__name__, str(error))
    json.dump(answer, sys.stdout)
    return 0


def fail(error_type: str, message: str) -> int:
    """Writes the error object."""
    json.dump({"errorMessage": message, "errorType": error_type}, sys.stdout)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
