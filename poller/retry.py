"""How the shell waits between tries: chance comes in here, and only here.

Transport retries (a call to the outside failed) use full jitter; delivery retries (a function failed) keep close to the wait that
the policy decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState

    from poller.ports import Rng

FIRST_CEILING = 0.5
LAST_CEILING = 30.0
SPREAD = 0.2
LONGEST_ASKED = 300.0
"""Seconds: nobody is waited for any longer before the next try, whatever its Retry-After says."""


def jittered(wait: float, rng: Rng, spread: float = SPREAD) -> float:
    """A delivery back-off, 20 % more or less, so that shards that failed together do not come back together."""
    return rng.uniform((1 - spread) * wait, (1 + spread) * wait)


def transport_wait(failures: int, rng: Rng) -> float:
    """Seconds before the next try after `failures` (at least 1) in a row: full jitter below 0.5 s, doubling to 30 s."""
    ceiling = min(LAST_CEILING, FIRST_CEILING * 2.0 ** min(failures - 1, 30))
    return rng.uniform(ceiling / 10, ceiling)


def full_jitter(rng: Rng, longest_asked: float = LONGEST_ASKED) -> Callable[[RetryCallState], float]:
    """`transport_wait` as tenacity's `wait`; longer, up to `longest_asked` seconds, where the other side asked for that."""
    return lambda state: max(transport_wait(state.attempt_number, rng), min(_asked_for(state), longest_asked))


def _asked_for(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    return error.retry_after or 0.0 if isinstance(error, Unavailable) else 0.0
