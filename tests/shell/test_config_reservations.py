"""What functions may reserve of the process, and how many invocations follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from poller.changes import changed_functions
from poller.compose import permit_limits
from poller.config import Config, FunctionConfig
from poller.config.machine import this_machine

if TYPE_CHECKING:
    from collections.abc import Mapping

rule = pytest.mark.rule

USUAL = this_machine().workers(128)
"""Workers of a process function that says nothing."""


def config(functions: Mapping[str, Mapping[str, Any]], **top: object) -> Config:
    """Inline functions unless they say otherwise."""
    base = {"executor": "inline", "handler": "app.handler"}
    return Config.model_validate(
        {"functions": {name: base | dict(given) for name, given in functions.items()}, "event_source_mappings": [], **top}
    )


def function(**given: object) -> FunctionConfig:
    return config({"f": given}).functions["f"]


def faults(functions: Mapping[str, Mapping[str, Any]], **top: object) -> dict[str, str]:
    """What is wrong, by place."""
    with pytest.raises(ValidationError) as caught:
        config(functions, **top)
    return {".".join(map(str, each["loc"])): each["msg"] for each in caught.value.errors()}


PROCESS = {"executor": "process", "runtime": "python"}


@rule("function.concurrency.reserved-is-a-cap")
@pytest.mark.parametrize(
    ("given", "concurrency", "capacity"),
    [
        pytest.param({}, 1000, 1000, id="inline"),
        pytest.param({"reserved_concurrency": 7}, 7, 1000, id="inline, less than usual"),
        pytest.param({"reserved_concurrency": 7, "maximum_concurrency": 5}, 5, 5, id="less than it reserves"),
        pytest.param({"reserved_concurrency": 0, "maximum_concurrency": 5}, 0, 5, id="stopped, with room for later"),
        pytest.param(PROCESS, USUAL, USUAL, id="process"),
        pytest.param({**PROCESS, "reserved_concurrency": 99}, 99, 99, id="process, more than usual: it was promised"),
        pytest.param(
            {**PROCESS, "maximum_concurrency": None, "reserved_concurrency": 1}, 1, USUAL, id="process, written as null"
        ),
    ],
)
def test_how_many_may_run_follows_from_what_is_reserved_and_from_the_maximum(
    given: Mapping[str, object], concurrency: int, capacity: int
) -> None:
    made = function(**given)
    assert (made.concurrency, made.capacity) == (concurrency, capacity)


def test_permits_are_made_of_the_limits_of_all() -> None:
    made = config({"a": {"reserved_concurrency": 2}, "b": {"maximum_concurrency": 9}, "c": {"ReservedConcurrency": 0}})
    assert permit_limits(made) == ({"a": 2, "b": 9, "c": 0}, 1000, {"a": 2, "c": 0})


@rule("function.concurrency.unreserved-minimum")
@pytest.mark.parametrize(
    ("reserved", "limit", "fault"),
    [
        pytest.param([400, 600], None, None, id="all of it, and nobody else is there"),
        pytest.param(
            [400, 601], None, "reserve 1001 together, concurrency_limit is 1000: raise that to 1001 or more", id="too much"
        ),
        pytest.param([4, 5, None], 10, None, id="one is left"),
        pytest.param(
            [4, 6, None],
            10,
            'reserve 10 together, concurrency_limit is 10, which leaves none for "f2": raise that to 11 or more',
            id="none is left",
        ),
        pytest.param(
            [4, 7, None], 10, "reserve 11 together, concurrency_limit is 10: raise that to 12 or more", id="less than none"
        ),
        pytest.param([0, None], 1, None, id="a stopped function reserves nothing"),
        pytest.param([None, None], 1, None, id="nobody reserves"),
        pytest.param([0, 0], 1, None, id="all are stopped"),
    ],
)
def test_reservations_are_within_the_limit_and_leave_one_to_those_without(
    reserved: list[int | None], limit: int | None, fault: str | None
) -> None:
    functions = {f"f{number}": {} if each is None else {"reserved_concurrency": each} for number, each in enumerate(reserved)}
    top = {} if limit is None else {"concurrency_limit": limit}
    if fault is None:
        assert set(config(functions, **top).functions) == set(functions)
        return
    found = faults(functions, **top)
    assert list(found) == ["functions.f1.reserved_concurrency"], "at the one that reserves most"
    assert fault in found["functions.f1.reserved_concurrency"]


@rule("function.concurrency.within-the-reservation")
def test_neither_the_maximum_nor_what_is_provisioned_may_be_above_what_is_reserved() -> None:
    given = {**PROCESS, "reserved_concurrency": 4, "MaximumConcurrency": 5, "provisioned_concurrency": 5}
    found = faults({"f": given})
    assert set(found) == {"functions.f.MaximumConcurrency", "functions.f.provisioned_concurrency"}
    assert "must not be above reserved_concurrency, 4" in found["functions.f.MaximumConcurrency"]
    assert "Requested Provisioned Concurrency should not be greater" in found["functions.f.provisioned_concurrency"]
    assert config({"f": {**given, "MaximumConcurrency": 4, "provisioned_concurrency": 4}}).functions["f"].concurrency == 4


def test_what_is_no_number_or_no_function_is_left_to_others_to_complain_about() -> None:
    assert list(faults({"f": {"reserved_concurrency": "many", "maximum_concurrency": 9}})) == ["functions.f.reserved_concurrency"]
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"functions": {"f": 5, "g": None}, "event_source_mappings": [], "concurrency_limit": "x"})
    assert {each["loc"][0] for each in caught.value.errors()} == {"functions", "concurrency_limit"}


@pytest.mark.parametrize(
    ("before", "after", "anew"),
    [
        pytest.param({}, {"reserved_concurrency": 0}, False, id="stopped"),
        pytest.param({"reserved_concurrency": 0}, {}, False, id="goes on"),
        pytest.param({"maximum_concurrency": 9}, {"maximum_concurrency": 3}, False, id="fewer"),
        pytest.param({"maximum_concurrency": 3}, {"maximum_concurrency": 9}, True, id="more than its executor was made for"),
        pytest.param({}, {"reserved_concurrency": 1001}, True, id="more than usual"),
        pytest.param({"timeout": 3}, {"timeout": 4}, True, id="something else"),
        pytest.param({"timeout": 3}, {"timeout": 4, "reserved_concurrency": 0}, True, id="both"),
        pytest.param({}, {**PROCESS, "maximum_concurrency": 1}, True, id="another executor"),
    ],
)
def test_a_function_whose_limits_change_is_made_anew_only_where_its_executor_could_not_run_so_many(
    before: Mapping[str, object], after: Mapping[str, object], *, anew: bool
) -> None:
    old, new = (config({"f": given, "g": {}}, concurrency_limit=5000) for given in (before, after))
    assert changed_functions(old, new) == (["f"] if anew else [])
