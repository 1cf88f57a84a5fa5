"""Where the worker processes of a function come from, and what becomes of the folders that they leave."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from functools import partial
from time import gmtime, strftime
from typing import TYPE_CHECKING

from poller.executors.start import start
from poller.executors.waiting import outlast

if TYPE_CHECKING:
    from pathlib import Path

    from poller.executors.child import Child, Keeper
    from poller.executors.launch import Initialization, ProcessSpec
    from poller.executors.paced import Printed
    from poller.ports import Clock


class Workshop:
    """The `Source` of a function's processes."""

    def __init__(self, spec: ProcessSpec, events: Printed, clock: Clock) -> None:
        self._spec = spec
        self._events = events
        self._clock = clock
        self._starts = 0
        self._removals: set[asyncio.Future[None]] = set()

    def start(self, initialization: Initialization, keeper: Keeper) -> Child:
        """See `poller.executors.post.Source`. Each has a log stream of its own."""
        self._starts += 1
        log_stream = strftime(f"%Y/%m/%d/[$LATEST]{self._starts:032x}", gmtime(self._clock.time()))
        spec = self._spec if initialization == self._spec.initialization else replace(self._spec, initialization=initialization)
        return start(spec, log_stream, self._events, keeper)

    def clear(self, folder: Path) -> None:
        """Removes a temporary folder: in a thread if there is anything in it, and a thread to be had."""
        try:
            folder.rmdir()
        except OSError:
            rmtree = partial(shutil.rmtree, folder, ignore_errors=True)
            try:
                removal = asyncio.get_running_loop().run_in_executor(None, rmtree)
            except RuntimeError:  # the machine has no more threads: functions may use them up
                rmtree()
            else:
                self._removals.add(removal)
                removal.add_done_callback(self._removals.discard)

    async def cleared(self) -> None:
        """Returns when all those folders are gone."""
        await outlast(*self._removals)
