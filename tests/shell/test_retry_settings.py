"""What a configuration says of retries arrives where they are made."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from support.build import records
from support.config_rows import MAPPING
from support.doubles import RAISES, in_turn
from support.stage import Scene, virtually

from poller.compose import stream_policy
from poller.config import StreamMappingConfig
from poller.core.model import Refused
from poller.core.policy import Backoff, StreamPolicy

rule = pytest.mark.rule


def policy(**given: Any) -> StreamPolicy:
    return stream_policy(StreamMappingConfig.model_validate(MAPPING | given))


def test_without_a_word_it_is_lambdas() -> None:
    assert policy() == StreamPolicy(max_retries=None, max_age=None, bisect=False, non_retryable=(), on_exhausted="discard")


def test_every_field_arrives() -> None:
    assert policy(
        maximum_retry_attempts=3,
        maximum_record_age_in_seconds=600,
        bisect_batch_on_function_error=True,
        retry_backoff={"initial": 1, "factor": 3, "maximum": 9},
        non_retryable_errors=["ValueError", "json.*"],
        on_exhausted="block",
    ) == StreamPolicy(
        max_retries=3,
        max_age=600,
        bisect=True,
        backoff=Backoff(initial=1, factor=3, maximum=9),
        non_retryable=("ValueError", "json.*"),
        on_exhausted="block",
    )


@rule("stream.retry.spacing-configured")
@virtually
async def test_a_lane_waits_as_the_mapping_says_and_with_its_jitter() -> None:
    slow = StreamPolicy(backoff=Backoff(initial=3, factor=2, maximum=10))
    scene = Scene(in_turn(*[RAISES] * 4), policy=slow)
    scene.work = replace(scene.work, jitter=0.0)
    await scene.run(records(1))
    began = [call.began for call in scene.stage.executor.calls]
    assert [later - earlier for earlier, later in pairwise(began)] == [3, 6, 10, 10]

    scene = Scene(in_turn(*[RAISES] * 40), policy=slow)
    scene.work = replace(scene.work, jitter=1.0)
    await scene.run(records(1))
    waits = [later.began - earlier.began for earlier, later in pairwise(scene.stage.executor.calls)][3:]
    assert 0 <= min(waits) < 4
    assert 16 < max(waits) <= 20


@rule("stream.retry.refusals-have-their-own-waits")
@virtually
async def test_who_would_not_run_it_is_not_asked_sooner_for_all_the_jitter_that_a_mapping_has() -> None:
    scene = Scene(in_turn(*[Refused("unavailable", retry_after=10)] * 40))
    scene.work = replace(scene.work, jitter=1.0)
    await scene.run(records(1))
    waits = [later.began - earlier.began for earlier, later in pairwise(scene.stage.executor.calls)]
    assert len(waits) == 40
    assert 8 <= min(waits) < max(waits) <= 12


@rule("stream.retry.non-retryable")
@virtually
async def test_what_the_function_raises_is_told_by_its_type() -> None:
    scene = Scene(in_turn(RAISES), policy=StreamPolicy(max_retries=9, non_retryable=("Value*",)))
    assert await scene.run(records(1, 2)) == 0
    assert scene.events == ["invoke 1 2", "send", "settle 1 2"]
    assert scene.documents[0]["requestContext"]["approximateInvokeCount"] == 1
