"""What the configuration says of when workers come and go."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from poller.clock import SystemClock
from poller.config import Config, FunctionConfig, ProcessFunctionConfig
from poller.config.machine import this_machine
from poller.executors.process import Lifecycle
from poller.testing.doubles import RecordedEvents
from poller.wiring import EXECUTORS, Worker


def function(**given: object) -> FunctionConfig:
    process = {"executor": "process", "runtime": "python", "handler": "app.handler"}
    return Config.model_validate({"functions": {"f": process | given}, "event_source_mappings": []}).functions["f"]


def lifecycle(**given: object) -> Lifecycle:
    """As the executor gets it."""
    worker = Worker(name="f", arn="", config=function(**given), events=RecordedEvents(), clock=SystemClock())
    executor: Any = EXECUTORS["process"](worker)
    found: Lifecycle = executor._pool._lifecycle
    return found


def test_without_a_word_workers_come_on_demand_and_go_after_ten_minutes() -> None:
    assert lifecycle() == Lifecycle(maximum_concurrency=this_machine().workers(128), idle_timeout=600)


def test_every_word_reaches_the_pool() -> None:
    given: dict[str, Any] = {
        "maximum_concurrency": 9,
        "provisioned_concurrency": 3,
        "idle_timeout": 5.5,
        "maximum_invocations": 7,
        "maximum_age": 60,
        "memory_size": 300,
    }
    assert lifecycle(**given, timeout=20) == Lifecycle(**given, init_seconds=20)
    assert lifecycle(idle_timeout=None).idle_timeout is None


def test_more_provisioned_workers_than_are_usual_make_room_for_themselves() -> None:
    settings = function(provisioned_concurrency=5000)
    assert isinstance(settings, ProcessFunctionConfig)
    assert settings.own_concurrency == 5000


@pytest.mark.parametrize(
    ("given", "place", "message"),
    [
        (
            {"provisioned_concurrency": 3, "maximum_concurrency": 2},
            "provisioned_concurrency",
            '"provisioned_concurrency" must not be greater than "maximum_concurrency"',
        ),
        (
            {"ProvisionedConcurrency": 3, "MaximumConcurrency": 2},
            "ProvisionedConcurrency",
            '"ProvisionedConcurrency" must not be greater than "MaximumConcurrency"',
        ),
        ({"provisioned_concurrency": -1}, "provisioned_concurrency", '"provisioned_concurrency" must be at least 0'),
        ({"idle_timeout": 0}, "idle_timeout", '"idle_timeout" must be above 0'),
        ({"maximum_invocations": 0}, "maximum_invocations", '"maximum_invocations" must be at least 1'),
        ({"maximum_age": -5}, "maximum_age", '"maximum_age" must be above 0'),
    ],
)
def test_what_cannot_be_is_refused_at_its_place(given: dict[str, object], place: str, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        function(**given)
    assert [(each["loc"][-1], each["msg"]) for each in caught.value.errors()] == [(place, message)]
