"""How far a shard lags, as one number that still rises while nothing can be read.

CloudWatch's IteratorAge is sent per invocation, so it falls silent exactly when a shard is stuck. This one is computed whenever
somebody looks, from what is still open in memory and from what the last successful read said.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMark:
    """What the last read that succeeded said.

    Attributes:
        at: when it succeeded, Unix seconds.
        behind: seconds between what it read and the tip of the shard (MillisBehindLatest); 0 where the source does not say.
    """

    at: float
    behind: float


def iterator_age(now: float, oldest_open: float | None, last_read: ReadMark | None, stale_after: float) -> float:
    """Age in seconds of the oldest record that this shard has not settled, read or not; never negative.

    Args:
        now: Unix seconds.
        oldest_open: arrival of the oldest unsettled record in memory, Unix seconds; None where there is none.
        last_read: of the last read that succeeded. A shard that opens starts with a mark of that moment, so that the age
            rises where no read ever succeeds; None says that nothing is known, and answers 0.
        stale_after: seconds for which "0 behind" may be believed: two poll intervals.
    """
    if oldest_open is not None:
        return max(0.0, now - oldest_open)
    if last_read is None:
        return 0.0
    since = max(0.0, now - last_read.at)
    if last_read.behind <= 0 and since < stale_after:
        return 0.0
    return since + max(0.0, last_read.behind)
