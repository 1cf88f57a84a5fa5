"""The limit of five GetRecords a second and shard, kept by all mappings of the process together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poller.core.model import ShardId
    from poller.ports import Clock

READS_PER_SECOND = 5


class ReadPace:
    """Spaces the reads of each shard 200 ms apart, first come, first served; a shard that was idle may go at once."""

    def __init__(self, clock: Clock, reads_per_second: float = READS_PER_SECOND) -> None:
        self._clock = clock
        self._interval = 1.0 / reads_per_second
        self._next: dict[tuple[str, ShardId], float] = {}

    async def turn(self, stream_arn: str, shard: ShardId) -> None:
        """Returns when this shard may be read once."""
        now = self._clock.monotonic()
        at = max(now, self._next.get((stream_arn, shard), 0.0))
        self._next[stream_arn, shard] = at + self._interval
        if at > now:
            await asyncio.sleep(at - now)
