"""What a mapping with tumbling windows tells beside what all mappings do; a part of its observer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from poller.core.windows import bounds
from poller.observe import catalogue as c

if TYPE_CHECKING:
    from poller.core.memo import Window
    from poller.observe.logs import Logger
    from poller.observe.metrics import Series

WindowEnd = Literal["later_record", "time", "shard_end", "state_size", "given_up", "dropped"]
"""Why a window is over.

`later_record`: a record of a later one came. `time`: no more of it is to come. `shard_end`: the shard has ended. `state_size`:
the state was too large. `given_up`: its last invocation failed for good. `dropped`: the mapping has no windows any more.
"""


class WindowEvents:
    """Counts and logs windows that are over."""

    _name: str
    _log: Logger
    _series: Series

    def window_closed(self, window: Window, why: WindowEnd, shard: str) -> None:
        """The function has done its last invocation, or it was given up, which has been told as any discard."""
        self._series.get(c.WINDOWS_CLOSED, self._name, why).inc()
        self._log.debug("window_closed", shard=shard, why=why, **bounds(window))

    def window_dropped(self, window: Window, shard: str) -> None:
        """The mapping was configured anew, without windows: this one, which was open, is not closed, and its state is lost."""
        self._series.get(c.WINDOWS_CLOSED, self._name, "dropped").inc()
        self._log.warning("window_dropped", shard=shard, state_bytes=len(window.state), **bounds(window))
