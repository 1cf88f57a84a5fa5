"""How long the shell waits between tries."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import AsyncRetrying, RetryCallState

from poller.retry import full_jitter, jittered, transport_wait

if TYPE_CHECKING:
    from collections.abc import Callable


class Edge:
    """An `Rng` that always draws one end of the range."""

    def __init__(self, pick: Callable[[float, float], float]) -> None:
        self._pick = pick

    def uniform(self, a: float, b: float, /) -> float:
        return self._pick(a, b)

    def getrandbits(self, k: int, /) -> int:
        raise NotImplementedError


SHORTEST, LONGEST = Edge(min), Edge(max)


@pytest.mark.rule("stream.retry.spacing")
@given(st.floats(0, 60), st.integers())
def test_a_delivery_wait_keeps_within_a_fifth_of_what_was_decided(wait: float, seed: int) -> None:
    assert 0.8 * wait <= jittered(wait, Random(seed)) <= 1.2 * wait


@pytest.mark.rule("stream.retry.spacing-configured")
def test_a_mapping_may_ask_for_more_jitter_or_none() -> None:
    assert (jittered(10, SHORTEST, 0.5), jittered(10, LONGEST, 0.5)) == (5, 15)
    assert (jittered(10, SHORTEST, 0), jittered(10, LONGEST, 0)) == (10, 10)


@pytest.mark.rule("stream.retry.spacing")
def test_a_delivery_wait_uses_the_whole_fifth() -> None:
    assert (jittered(10, SHORTEST), jittered(10, LONGEST)) == (8, 12)


@pytest.mark.parametrize(
    ("failures", "longest"), [(1, 0.5), (2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 30), (8, 30), (10_000, 30)]
)
def test_a_transport_wait_doubles_its_ceiling_up_to_half_a_minute_and_is_never_nothing(failures: int, longest: float) -> None:
    assert transport_wait(failures, LONGEST) == longest
    assert transport_wait(failures, SHORTEST) == longest / 10


def test_waits_of_two_that_failed_together_differ() -> None:
    assert transport_wait(5, Random(1)) != transport_wait(5, Random(2))


def test_as_tenacity_waits_the_number_of_the_attempt_is_that_of_the_failures() -> None:
    state = RetryCallState(AsyncRetrying(), None, (), {})
    waits = []
    for _ in range(3):
        waits.append(full_jitter(LONGEST)(state))
        state.prepare_for_next_attempt()
    assert waits == [0.5, 1, 2]
