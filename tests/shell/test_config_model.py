from __future__ import annotations

import os
import re
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, get_args, get_origin

import pytest
from pydantic import BaseModel, ValidationError
from support.config_doc import DOCUMENT, document
from support.config_rows import NOWHERE

from poller.clock import SystemClock
from poller.config import Config, Connection, FunctionConfig, InlineFunctionConfig, ProcessFunctionConfig, load
from poller.config.machine import MEGABYTE, Machine, this_machine
from poller.config.mappings import default_uuid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
STREAM = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
QUEUE = "arn:aws:sqs:eu-central-1:123456789012:failed"
SAMPLES = sorted((ROOT / "config").glob("*.yaml"))
HANDLERS = {"python": (".py", "def"), "nodejs": (".mjs", "export const")}


def config(*, aws: Mapping[str, object] | None = None, **mapping: object) -> Config:
    """A configuration with one mapping, made without a file."""
    required = {"name": "m", "event_source_arn": STREAM, "function_name": "f", "starting_position": "LATEST"}
    return Config.model_validate(
        {
            "aws": aws or {},
            "functions": {"f": {"executor": "inline", "handler": "app.handler"}},
            "event_source_mappings": [required | mapping],
        }
    )


def test_defaults_are_lambdas_where_lambda_has_the_field() -> None:
    (mapping,) = config().event_source_mappings
    assert mapping.model_dump() == {
        "name": "m",
        "uuid": default_uuid("m"),
        "event_source_arn": STREAM,
        "function_name": "f",
        "enabled": True,
        "priority": 0,
        "batch_size": 100,
        "maximum_batching_window_in_seconds": 0,
        "parallelization_factor": 1,
        "starting_position": "LATEST",
        "starting_position_timestamp": None,
        "maximum_retry_attempts": -1,
        "maximum_record_age_in_seconds": -1,
        "bisect_batch_on_function_error": False,
        "retry_backoff": {"initial": 0.5, "factor": 2.0, "maximum": 60.0, "jitter": 0.2},
        "non_retryable_errors": (),
        "on_exhausted": "discard",
        "tumbling_window_in_seconds": 0,
        "function_response_types": (),
        "filter_criteria": {"dry_run": False, "filters": ()},
        "destination_config": {"on_failure": NOWHERE},
        "on_destination_error": "wait",
        "resume": "fail",
        "on_trimmed": "trim_horizon",
        "region": None,
        "endpoint_url": None,
        "profile": None,
    }


def test_the_process_as_a_whole_has_defaults_for_everything(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("functions: {}\nevent_source_mappings: []\n")
    assert load(path, SystemClock()).model_dump() == {
        "aws": {"region": None, "endpoint_url": None, "profile": None},
        "store": {"url": f"sqlite:///{tmp_path}/poller.db", "url_file": None, "lease_duration": 10},
        "http": {"listen": "127.0.0.1:9108"},
        "log": {"level": "info", "format": "auto"},
        "drain_timeout": 30,
        "concurrency_limit": 1000,
        "functions": {},
        "event_source_mappings": (),
    }


def test_functions_have_lambdas_timeout_and_memory_and_no_credentials() -> None:
    process = ProcessFunctionConfig(executor="process", runtime="python", handler="app.handler")
    assert (process.timeout, process.memory_size, process.credentials, process.environment) == (3, 128, "none", {})
    inline = InlineFunctionConfig(executor="inline", handler="app.handler")
    assert (inline.timeout, inline.concurrency) == (3, 1000)


def test_a_uuid_follows_from_the_name_alone_and_never_changes() -> None:
    assert default_uuid("orders") == "404b1674-0967-583b-a96f-4992dbf473c6"


@pytest.mark.parametrize(
    ("machine", "memory_size", "workers"),
    [
        (Machine(cpus=8, memory=64_000 * MEGABYTE), 512, 16),
        (Machine(cpus=8, memory=4_096 * MEGABYTE), 512, 8),
        (Machine(cpus=1, memory=256 * MEGABYTE), 1024, 2),
    ],
    ids=["two a CPU", "as far as memory goes", "two at least"],
)
def test_the_default_concurrency_of_processes_depends_on_the_machine(machine: Machine, memory_size: int, workers: int) -> None:
    assert machine.workers(memory_size) == workers


def test_this_machine_has_no_more_than_the_system_says() -> None:
    machine = this_machine()
    assert 1 <= machine.cpus <= len(os.sched_getaffinity(0))
    assert 0 < machine.memory <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    process = ProcessFunctionConfig(executor="process", runtime="python", handler="app.handler", memory_size=64)
    assert process.concurrency == machine.workers(64)


def test_a_connection_takes_the_mappings_settings_then_the_arns_region_then_the_defaults() -> None:
    defaults = {"region": "us-east-1", "endpoint_url": "http://aws:4566", "profile": "all"}
    plain = config(aws=defaults)
    assert plain.source_connection(plain.event_source_mappings[0]) == Connection(
        region="eu-west-1", endpoint_url="http://aws:4566", profile="all"
    )
    special = config(aws=defaults, region="eu-west-3", endpoint_url="http://own:1", profile="own")
    assert special.source_connection(special.event_source_mappings[0]) == Connection(
        region="eu-west-3", endpoint_url="http://own:1", profile="own"
    )


def test_a_destination_is_reached_in_the_region_of_its_arn_with_the_mappings_settings() -> None:
    made = config(region="eu-west-3", profile="own", destination_config={"on_failure": {"destination": QUEUE}})
    assert made.destination_connection(made.event_source_mappings[0]) == Connection(
        region="eu-central-1", endpoint_url=None, profile="own"
    )


@pytest.mark.parametrize("given", [{}, {"destination": "https://a/"}, {"destination": "file:f"}])
def test_a_mapping_without_a_destination_in_aws_has_no_connection_to_one(given: dict[str, object]) -> None:
    made = config(destination_config={"on_failure": given})
    assert made.destination_connection(made.event_source_mappings[0]) is None


def test_paths_start_at_the_folder_of_the_file_and_come_out_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "etc").mkdir()
    Path("etc/config.yaml").write_text(
        "store: {url: 'sqlite:///../data/poller.db'}\n"
        "functions:\n"
        "  a: {executor: process, runtime: python, handler: a.b, code: ./code/, python: venv/bin/python}\n"
        "  b: {executor: inline, handler: a.b}\n"
        "event_source_mappings: []\n"
    )
    loaded = load(Path("etc/config.yaml"), SystemClock())
    first = loaded.functions["a"]
    assert isinstance(first, ProcessFunctionConfig)
    assert loaded.store.path == tmp_path / "data" / "poller.db"
    assert (first.code, first.python) == (tmp_path / "etc" / "code", f"{tmp_path}/etc/venv/bin/python")
    assert getattr(loaded.functions["b"], "code", None) == tmp_path / "etc"


def test_a_mounted_folder_keeps_its_own_name_when_its_files_are_links(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "config.yaml").write_text("functions: {}\nevent_source_mappings: []\n")
    (tmp_path / "config.yaml").symlink_to("..data/config.yaml")
    assert load(tmp_path / "config.yaml", SystemClock()).store.path == tmp_path / "poller.db"


def test_a_configuration_cannot_be_changed() -> None:
    made = config()
    with pytest.raises(ValidationError, match="frozen"):
        made.drain_timeout = 5  # type: ignore[misc]


def test_the_environment_of_a_function_is_not_in_its_repr() -> None:
    made = ProcessFunctionConfig(executor="process", runtime="python", handler="a.b", environment={"TOKEN": "hunter2"})
    assert "hunter2" not in repr(made)


def test_a_model_made_by_hand_reports_everything_at_once_and_prints_no_value() -> None:
    with pytest.raises(ValidationError) as caught:
        config(batch_size=10_001, function_name="g", uuid="hunter2")
    assert "hunter2" not in str(caught.value)
    assert [error["msg"] for error in caught.value.errors()] == [
        '"uuid" must be a UUID, for example 6b2f0a9e-3c51-4d0c-9c3e-2f1f4f6d1a77',
        '"batch_size" must be from 1 to 10000',
        'Function does not exist: "g" is not under functions',
    ]


def sections(annotation: object) -> Iterator[type[BaseModel]]:
    """All sections that a type leads to."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from sections(field.annotation)
    elif get_origin(annotation) in {Annotated, UnionType} or get_args(annotation):
        for part in get_args(annotation):
            yield from sections(part)


EVERY_FIELD = sorted(
    {(section, name) for section in sections(Config) for name, field in section.model_fields.items() if not field.exclude},
    key=str,
)


def test_every_section_was_found() -> None:
    found = {section.__name__ for section, _ in EVERY_FIELD}
    assert found >= {"Config", "StoreConfig", "StreamMappingConfig", "QueueMappingConfig", "FilterPattern", "OnFailure"}
    assert {part.__name__ for part in sections(FunctionConfig)} <= found


@pytest.mark.parametrize(("section", "name"), EVERY_FIELD, ids=str)
def test_every_field_says_what_it_is_and_what_its_default_is(section: type[BaseModel], name: str) -> None:
    field = section.model_fields[name]
    description = field.description or ""
    assert description.endswith(".")
    holds_a_section = any(True for _ in sections(field.annotation))
    assert field.is_required() or holds_a_section or "default" in description.lower()


@pytest.mark.parametrize(("section", "name"), EVERY_FIELD, ids=str)
def test_every_field_is_on_the_page_about_the_configuration(section: type[BaseModel], name: str) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert re.search(rf"[`.]{name}[`.]", page), section


def test_the_page_about_the_configuration_is_made_from_the_models() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run: make docs"


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_sample_is_valid_and_its_handlers_are_there(path: Path) -> None:
    loaded = load(path, SystemClock(), environ={})
    assert loaded.event_source_mappings
    for function in loaded.functions.values():
        assert isinstance(function, ProcessFunctionConfig | InlineFunctionConfig)
        module, _, name = function.handler.rpartition(".")
        suffix, definition = HANDLERS[getattr(function, "runtime", "python")]
        assert f"{definition} {name}" in (function.code / f"{module}{suffix}").read_text(encoding="utf-8")


def test_there_are_samples() -> None:
    assert {path.name for path in SAMPLES} == {"poller.yaml", "queue.yaml", "fifo.yaml", "inline.yaml", "node.yaml", "redis.yaml"}
