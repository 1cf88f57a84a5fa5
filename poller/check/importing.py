"""A program of its own: imports inline handlers one after another, and says what came of each.

`python -m poller.check.importing '[["app.handler", "/code"], ...]'`. A line of JSON on stdout for each: an empty text, or what is
wrong. What the modules print goes to stderr.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

from poller.errors import ConfigError
from poller.executors.inline import load
from poller.executors.worker import PR_SET_PDEATHSIG


def main(asked: str) -> None:
    """Imports them in this process, which is good for nothing else afterwards."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # an import that hangs must not outlive who waits for it
    answers = os.dup(1)
    os.dup2(2, 1)
    for handler, code in json.loads(asked):
        try:
            load(handler, Path(code))
            said = ""
        except ConfigError as error:
            said = str(error)
        os.write(answers, json.dumps(said).encode() + b"\n")
    os._exit(0)  # threads that a module has started keep nobody waiting


if __name__ == "__main__":
    main(sys.argv[1])
