"""How the shell waits between tries: chance comes in here, and only here.

Transport retries (a call to the outside failed) use full jitter; delivery retries (a function failed) keep close to the wait that
the policy decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState

    from poller.ports import Rng

FIRST_CEILING = 0.5
LAST_CEILING = 30.0
SPREAD = 0.2


def jittered(wait: float, rng: Rng) -> float:
    """A delivery back-off, 20 % more or less, so that shards that failed together do not come back together."""
    return rng.uniform((1 - SPREAD) * wait, (1 + SPREAD) * wait)


def transport_wait(failures: int, rng: Rng) -> float:
    """Seconds before the next try after `failures` (at least 1) in a row: full jitter below 0.5 s, doubling to 30 s."""
    ceiling = min(LAST_CEILING, FIRST_CEILING * 2.0 ** min(failures - 1, 30))
    return rng.uniform(ceiling / 10, ceiling)


def full_jitter(rng: Rng) -> Callable[[RetryCallState], float]:
    """`transport_wait` as tenacity's `wait`."""
    return lambda state: transport_wait(state.attempt_number, rng)
