from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from contract.executor_contract import SOON, SystemClock, errored, exists, invocation, returned

from poller.core.model import Errored, Refused
from poller.executors import process
from poller.executors.process import ProcessExecutor, ProcessSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from poller.core.model import Answer

FUNCTIONS = Path(__file__).parent.parent / "functions"
MARK = "POLLER_TEST_MARK"


class Recorder:
    """Notes what an executor tells."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str | None]] = []
        self.ends: list[str] = []
        self.starts = 0

    def output(self, line: str, *, stream: Literal["stdout", "stderr"], request_id: str | None) -> None:
        self.lines.append((stream, line, request_id))

    def initialised(self, seconds: float) -> None:
        assert seconds > 0
        self.starts += 1

    def ended(self, reason: Literal["crash", "oom", "timeout", "reload"]) -> None:
        self.ends.append(reason)
