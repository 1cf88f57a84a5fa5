from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from poller.config import InvalidConfig, load

if TYPE_CHECKING:
    from poller.config import Config

STREAM = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
MAPPING = {"name": "m", "event_source_arn": STREAM, "function_name": "f", "starting_position": "LATEST"}
PROCESS = {"executor": "process", "runtime": "python", "handler": "app.handler"}
INLINE = {"executor": "inline", "handler": "app.handler"}
ONE_FUNCTION = "functions: {f: {executor: inline, handler: app.handler}}"


@dataclass(frozen=True)
class StoppedClock:
    def time(self) -> float:
        return 1_800_000_000.0

    def monotonic(self) -> float:
        return 0.0


def top(snippet: str) -> str:
    """The snippet stands on line 1."""
    return f"{snippet}\n{ONE_FUNCTION}\nevent_source_mappings: []\n"


def process(snippet: str) -> str:
    """The snippet stands on line 3, from column 5, in a process function."""
    return f"functions:\n  f:\n    {snippet}\n{_others(snippet, PROCESS)}event_source_mappings: []\n"


def bare(snippet: str) -> str:
    """The snippet stands on line 3, from column 5; it is all that the function has."""
    return f"functions:\n  f:\n    {snippet}\nevent_source_mappings: []\n"


def function(snippet: str) -> str:
    """The snippet stands on line 2, from column 3: a function with its name."""
    return f"functions:\n  {snippet}\nevent_source_mappings: []\n"


def item(snippet: str) -> str:
    """The snippet stands on line 3, from column 5: all of a mapping."""
    return f"{ONE_FUNCTION}\nevent_source_mappings:\n  - {snippet}\n"


def inline(snippet: str) -> str:
    """The same in an inline function."""
    return f"functions:\n  f:\n    {snippet}\n{_others(snippet, INLINE)}event_source_mappings: []\n"


def mapping(snippet: str) -> str:
    """The snippet stands on line 3, from column 5, in the only mapping."""
    return f"{ONE_FUNCTION}\nevent_source_mappings:\n  - {snippet}\n{_others(snippet, MAPPING)}"


def _others(snippet: str, required: dict[str, str]) -> str:
    """What else the section needs, but for the key that the snippet gives, in whatever spelling."""
    given = snippet.partition(":")[0].replace("_", "").lower()
    return "".join(f"    {key}: {value}\n" for key, value in required.items() if key.replace("_", "") != given)


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str) -> Config:
    path = Path("config.yaml")
    path.write_text(text, encoding="utf-8")
    return load(path, StoppedClock(), environ={})


def problems(text: str) -> list[str]:
    """`line:column message` of every problem."""
    with pytest.raises(InvalidConfig) as caught:
        loaded(text)
    return [f"{each.place.line}:{each.place.column} {each.message}" for each in caught.value.problems]


def attribute(value: object, path: str) -> object:
    """`functions.f.timeout` of a configuration."""
    return reduce(_step, path.split("."), value)


def _step(value: object, name: str) -> object:
    if isinstance(value, tuple):
        return value[int(name)]
    return value[name] if isinstance(value, dict) else getattr(value, name)


VALID = [
    (top("aws: {region: us-gov-east-1}"), "aws.region", "us-gov-east-1"),
    (top("aws: {endpoint_url: 'http://localhost:4566/'}"), "aws.endpoint_url", "http://localhost:4566"),
    (top("aws: {region: null, endpoint_url: null, profile: null}"), "aws.profile", None),
    (top("aws: {profile: dev}"), "aws.profile", "dev"),
    (top("aws: {}"), "aws.endpoint_url", None),
    (top("store: {url: 'memory://'}"), "store.scheme", "memory"),
    (top("store: {url: 'memory://'}"), "store.path", None),
    (top("store: {url: 'sqlite:////var/lib/poller.db'}"), "store.url", "sqlite:////var/lib/poller.db"),
    (top("store: {lease_duration: 1}"), "store.lease_duration", 1.0),
    (top("store: {lease_duration: 2.5}"), "store.lease_duration", 2.5),
    (top("store: {lease_duration: 300}"), "store.lease_duration", 300.0),
    (top("http: {listen: null}"), "http.listen", None),
    (top("http: {listen: '[::1]:0'}"), "http.listen", "[::1]:0"),
    (top("http: {listen: 'localhost:65535'}"), "http.listen", "localhost:65535"),
    (top("log: {level: debug}"), "log.level", "debug"),
    (top("log: {format: json}"), "log.format", "json"),
    (top("drain_timeout: 0"), "drain_timeout", 0.0),
    (top("drain_timeout: 1.5"), "drain_timeout", 1.5),
    (top("concurrency_limit: 1"), "concurrency_limit", 1),
    (process("handler: pkg/module.handler"), "functions.f.handler", "pkg/module.handler"),
    (process("Handler: pkg.module.handler"), "functions.f.handler", "pkg.module.handler"),
    (process("Runtime: python"), "functions.f.runtime", "python"),
    (process("python: python3.12"), "functions.f.python", "python3.12"),
    (process("python: /usr/bin/python3"), "functions.f.python", "/usr/bin/python3"),
    (process("timeout: 0.1"), "functions.f.timeout", 0.1),
    (process("timeout: 86400"), "functions.f.timeout", 86400.0),
    (process("Timeout: 900"), "functions.f.timeout", 900.0),
    (process("memory_size: 1"), "functions.f.memory_size", 1),
    (process("MemorySize: 10240"), "functions.f.memory_size", 10240),
    (process("environment: {TABLE: orders}"), "functions.f.environment.TABLE", "orders"),
    (process("Environment: {Variables: {TABLE: orders}}"), "functions.f.environment.TABLE", "orders"),
    (process("environment: {Variables: orders}"), "functions.f.environment.Variables", "orders"),
    (process("environment: {}"), "functions.f.environment", {}),
    (process("credentials: inherit"), "functions.f.credentials", "inherit"),
    (process("maximum_concurrency: 7"), "functions.f.concurrency", 7),
    (inline("maximum_concurrency: 7"), "functions.f.concurrency", 7),
    (inline("timeout: 5"), "functions.f.timeout", 5.0),
    (mapping("name: A-b_9"), "event_source_mappings.0.name", "A-b_9"),
    (
        mapping("Name: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        "event_source_mappings.0.name",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ),
    (
        mapping("uuid: 6B2F0A9E-3C51-4D0C-9C3E-2F1F4F6D1A77"),
        "event_source_mappings.0.uuid",
        "6b2f0a9e-3c51-4d0c-9c3e-2f1f4f6d1a77",
    ),
    (
        mapping("UUID: 6b2f0a9e-3c51-4d0c-9c3e-2f1f4f6d1a77"),
        "event_source_mappings.0.uuid",
        "6b2f0a9e-3c51-4d0c-9c3e-2f1f4f6d1a77",
    ),
    (
        mapping("EventSourceArn: arn:aws-us-gov:kinesis:us-gov-west-1:000000000000:stream/a.b-c_D"),
        "event_source_mappings.0.arn.region",
        "us-gov-west-1",
    ),
    (mapping("FunctionName: f"), "event_source_mappings.0.function_name", "f"),
    (mapping("enabled: false"), "event_source_mappings.0.enabled", False),
    (mapping("batch_size: 1"), "event_source_mappings.0.batch_size", 1),
    (mapping("BatchSize: 10000"), "event_source_mappings.0.batch_size", 10000),
    (mapping("maximum_batching_window_in_seconds: 0"), "event_source_mappings.0.maximum_batching_window_in_seconds", 0),
    (mapping("MaximumBatchingWindowInSeconds: 300"), "event_source_mappings.0.maximum_batching_window_in_seconds", 300),
    (mapping("ParallelizationFactor: 1"), "event_source_mappings.0.parallelization_factor", 1),
    (mapping("StartingPosition: TRIM_HORIZON"), "event_source_mappings.0.starting_position", "TRIM_HORIZON"),
    (mapping("maximum_retry_attempts: -1"), "event_source_mappings.0.max_retries", None),
    (mapping("maximum_retry_attempts: 0"), "event_source_mappings.0.max_retries", 0),
    (mapping("MaximumRetryAttempts: 10000"), "event_source_mappings.0.max_retries", 10000),
    (mapping("maximum_record_age_in_seconds: -1"), "event_source_mappings.0.max_age", None),
    (mapping("maximum_record_age_in_seconds: 60"), "event_source_mappings.0.max_age", 60.0),
    (mapping("MaximumRecordAgeInSeconds: 604800"), "event_source_mappings.0.max_age", 604800.0),
    (mapping("BisectBatchOnFunctionError: true"), "event_source_mappings.0.bisect_batch_on_function_error", True),
    (mapping("function_response_types: []"), "event_source_mappings.0.reports_batch_item_failures", False),
    (mapping("FunctionResponseTypes: [ReportBatchItemFailures]"), "event_source_mappings.0.reports_batch_item_failures", True),
    (mapping("destination_config: {}"), "event_source_mappings.0.destination_config.on_failure.destination", None),
    (mapping("DestinationConfig: {OnFailure: {}}"), "event_source_mappings.0.destination_config.on_failure.destination", None),
    (
        mapping("destination_config: {on_failure: {destination: ''}}"),
        "event_source_mappings.0.destination_config.on_failure.destination",
        None,
    ),
    (
        mapping("DestinationConfig: {OnFailure: {Destination: 'arn:aws:sqs:eu-west-1:123456789012:q'}}"),
        "event_source_mappings.0.destination_config.on_failure.destination",
        "arn:aws:sqs:eu-west-1:123456789012:q",
    ),
    (mapping("resume: trim_horizon"), "event_source_mappings.0.resume", "trim_horizon"),
    (mapping("region: eu-west-3"), "event_source_mappings.0.region", "eu-west-3"),
    (mapping("profile: other"), "event_source_mappings.0.profile", "other"),
    (
        mapping("endpoint_url: https://kinesis.example:8443"),
        "event_source_mappings.0.endpoint_url",
        "https://kinesis.example:8443",
    ),
    (
        mapping("starting_position: AT_TIMESTAMP\n    StartingPositionTimestamp: 1700000000"),
        "event_source_mappings.0.starting_position_timestamp",
        1700000000.0,
    ),
    (
        mapping("starting_position: AT_TIMESTAMP\n    StartingPositionTimestamp: 1700000000.5"),
        "event_source_mappings.0.starting_position_timestamp",
        1700000000.5,
    ),
    (
        mapping("starting_position: AT_TIMESTAMP\n    StartingPositionTimestamp: 0"),
        "event_source_mappings.0.starting_position_timestamp",
        0.0,
    ),
    (
        mapping("starting_position: AT_TIMESTAMP\n    StartingPositionTimestamp: 2023-11-14T22:13:20Z"),
        "event_source_mappings.0.starting_position_timestamp",
        1700000000.0,
    ),
    (
        mapping("starting_position: AT_TIMESTAMP\n    StartingPositionTimestamp: '2023-11-14T23:13:20+01:00'"),
        "event_source_mappings.0.starting_position_timestamp",
        1700000000.0,
    ),
    (
        mapping("starting_position: AT_TIMESTAMP\n    StartingPositionTimestamp: 1800000000"),
        "event_source_mappings.0.starting_position_timestamp",
        1800000000.0,
    ),
]

INVALID = [
    (top("aws: 5"), ['1:6 "aws" must be a mapping (key: value)']),
    (top("aws:"), ['1:5 "aws" has no value: it must be a mapping (key: value)']),
    (top("Aws: {}"), ['1:1 unknown key "Aws", did you mean "aws"?']),
    (top("aws: {region: EU West}"), ['1:15 "region" must be the name of a region, for example eu-west-1']),
    (top("aws: {regoin: eu-west-1}"), ['1:7 unknown key "regoin", did you mean "region"?']),
    (
        top("aws: {endpoint_url: localhost:4566}"),
        ['1:21 "endpoint_url" must be a URL, http://HOST:PORT or https://HOST:PORT, without a password'],
    ),
    (
        top("aws: {endpoint_url: 'http://'}"),
        ['1:21 "endpoint_url" must be a URL, http://HOST:PORT or https://HOST:PORT, without a password'],
    ),
    (
        top("aws: {endpoint_url: 'http://h:99999'}"),
        ['1:21 "endpoint_url" must be a URL, http://HOST:PORT or https://HOST:PORT, without a password'],
    ),
    (
        top("aws: {endpoint_url: 'http://u:p@h'}"),
        ['1:21 "endpoint_url" must be a URL, http://HOST:PORT or https://HOST:PORT, without a password'],
    ),
    (
        top("aws: {endpoint_url: 'http://[::1'}"),
        ['1:21 "endpoint_url" must be a URL, http://HOST:PORT or https://HOST:PORT, without a password'],
    ),
    (top("aws: {profile: ''}"), ['1:16 "profile" must not be empty']),
    (top("aws: {profile: 1}"), ['1:16 "profile" must be text, put it in quotes: "..."']),
    (top("store: {url: null}"), ['1:14 "url" has no value: it must be text']),
    (
        top("store: {url: 'redis://localhost'}"),
        ['1:14 "url" names a Redis server, which is not supported yet: use sqlite:///PATH'],
    ),
    (
        top("store: {url: 'rediss://localhost'}"),
        ['1:14 "url" names a Redis server, which is not supported yet: use sqlite:///PATH'],
    ),
    (
        top("store: {url: 'redis+sentinel://localhost'}"),
        ['1:14 "url" names a Redis server, which is not supported yet: use sqlite:///PATH'],
    ),
    (top("store: {url: 'sqlite://poller.db'}"), ['1:14 "url" must be sqlite:///PATH or memory://: sqlite takes three slashes']),
    (
        top("store: {url: 'sqlite:///'}"),
        ['1:14 "url" names no file: write sqlite:///PATH, or memory:// for a store that forgets'],
    ),
    (
        top("store: {url: 'sqlite:///:memory:'}"),
        ['1:14 "url" names no file: write sqlite:///PATH, or memory:// for a store that forgets'],
    ),
    (top("store: {url: 'sqlite:///a.db?mode=ro'}"), ['1:14 "url" cannot hold "?" or "#": sqlite:///PATH takes no parameters']),
    (top("store: {url: 'sqlite:///~/a.db'}"), ['1:14 "url" cannot begin with ~: write the whole path, or ${HOME}/...']),
    (top("store: {url: poller.db}"), ['1:14 "url" must be sqlite:///PATH or memory://']),
    (top("store: {lease_duration: 0.9}"), ['1:25 "lease_duration" must be from 1 to 300']),
    (top("store: {lease_duration: 301}"), ['1:25 "lease_duration" must be from 1 to 300']),
    (top("store: {lease_duration: 10s}"), ['1:25 "lease_duration" must be a number, without unit or quotes']),
    (top("http: null"), ['1:7 "http" has no value: it must be a mapping (key: value)']),
    (top("http: {listen: 9108}"), ['1:16 "listen" must be text, put it in quotes: "..."']),
    (
        top("http: {listen: ':9108'}"),
        [
            '1:16 "listen" must be HOST:PORT, for example 127.0.0.1:9108 (0.0.0.0:9108 for all interfaces), or null for no listener'
        ],
    ),
    (
        top("http: {listen: 'localhost:65536'}"),
        [
            '1:16 "listen" must be HOST:PORT, for example 127.0.0.1:9108 (0.0.0.0:9108 for all interfaces), or null for no listener'
        ],
    ),
    (
        top("http: {listen: 'http://localhost:9108'}"),
        [
            '1:16 "listen" must be HOST:PORT, for example 127.0.0.1:9108 (0.0.0.0:9108 for all interfaces), or null for no listener'
        ],
    ),
    (top("log: {level: INFO}"), ['1:14 "level" must be debug, info, warning or error, did you mean "info"?']),
    (top("log: {level: trace}"), ['1:14 "level" must be debug, info, warning or error']),
    (top("log: {format: text}"), ['1:15 "format" must be auto, json or console']),
    (top("drain_timeout: -1"), ['1:16 "drain_timeout" must be at least 0']),
    (top("drain_timeout: 30s"), ['1:16 "drain_timeout" must be a number, without unit or quotes']),
    (top("drain_timeout: .inf"), ['1:16 "drain_timeout" must be a number']),
    (top("drain_timeout: true"), ['1:16 "drain_timeout" must be a number']),
    (top("drain_timeout: '30'"), ['1:16 "drain_timeout" must be a number, without unit or quotes']),
    (top("concurrency_limit: 0"), ['1:20 "concurrency_limit" must be at least 1']),
    (top("concurrency_limit: 1.5"), ['1:20 "concurrency_limit" must be an integer']),
    (top("concurrency_limit: 1e3"), ['1:20 "concurrency_limit" must be an integer']),
    (top("concurency_limit: 5"), ['1:1 unknown key "concurency_limit", did you mean "concurrency_limit"?']),
    (top("batch_size: 5"), ['1:1 unknown key "batch_size"']),
    (top("'a key': 5"), ['1:1 unknown key "a key"']),
    (
        process("executor: proces"),
        ['3:15 "executor" must be process or inline (plug-ins are not supported yet), did you mean "process"?'],
    ),
    (process("executor: http"), ['3:15 executor "http" is not supported yet: use process or inline']),
    (process("executor: lambda"), ['3:15 executor "lambda" is not supported yet: use process or inline']),
    (process("executor: null"), ['3:5 missing key "executor", for example executor: process']),
    (process("executor: [1]"), ['3:15 "executor" must be process or inline (plug-ins are not supported yet)']),
    (process("executer: process"), ['3:5 unknown key "executer", did you mean "executor"?']),
    (bare("executer: process"), ['3:5 unknown key "executer", did you mean "executor"?']),
    (bare("handler: app.handler"), ['2:3 missing key "executor", for example executor: process']),
    (function("f: 5"), ['2:6 "f" must be a mapping (key: value)']),
    (function("f: null"), ['2:6 "f" must be a mapping (key: value)']),
    (function("f: [1]"), ['2:6 "f" must be a mapping (key: value)']),
    (function("a b: {executor: inline, handler: a.b}"), ['2:3 "a b" must be 1 to 64 letters, digits, - or _']),
    (item("5"), ['3:5 an item of "event_source_mappings" must be a mapping (key: value)']),
    (item("null"), ['3:5 an item of "event_source_mappings" has no value: it must be a mapping (key: value)']),
    (
        item("{}"),
        [
            '3:5 missing key "name", for example name: orders',
            '3:5 missing key "event_source_arn", for example event_source_arn: arn:aws:kinesis:eu-west-1:123456789012:stream/orders',
            '3:5 missing key "function_name", for example function_name: orders',
            "3:5 missing key \"starting_position\", for example starting_position: TRIM_HORIZON (Lambda: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null.)",
        ],
    ),
    (
        process("runtime: python3.12"),
        ['3:14 "runtime" must be python: the version follows from the interpreter, "python: /usr/bin/python3.12"'],
    ),
    (process("runtime: nodejs22.x"), ['3:14 runtime "nodejs22.x" is not supported yet: use python']),
    (process("runtime: provided.al2023"), ['3:14 runtime "provided.al2023" is not supported yet: use python']),
    (process("runtime: pyton"), ['3:14 "runtime" must be python']),
    (process("runtime: 3"), ['3:14 "runtime" must be python']),
    (process("handler: handler"), ['3:14 "handler" must be "module.function", for example app.handler']),
    (process("handler: app.2"), ['3:14 "handler" must be "module.function", for example app.handler']),
    (process("handler: app handler.x"), ['3:14 "handler" must be "module.function", for example app.handler']),
    (
        process(
            "handler: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b'"
        ),
        ['3:14 "handler" must be "module.function", for example app.handler'],
    ),
    (process("code: ''"), ['3:11 "code" must be a path']),
    (process("code: 5"), ['3:11 "code" must be a path']),
    (process("code: ~/x"), ['3:11 "code" cannot begin with ~: write the whole path, or ${HOME}/...']),
    (process("python: ''"), ['3:13 "python" must not be empty']),
    (process("python: ~/bin/python"), ['3:13 "python" cannot begin with ~: write the whole path, or ${HOME}/...']),
    (process("timeout: 0"), ['3:14 "timeout" must be above 0']),
    (process("timeout: -1"), ['3:14 "timeout" must be above 0']),
    (process("timeout: 3s"), ['3:14 "timeout" must be a number, without unit or quotes']),
    (process("Timeout: null"), ['3:14 "Timeout" has no value: it must be a number']),
    (process("memory_size: 0"), ['3:18 "memory_size" must be at least 1']),
    (process("memory_size: 512MB"), ['3:18 "memory_size" must be an integer, without unit or quotes']),
    (process("environment: [A]"), ['3:18 "environment" must be a mapping (key: value)']),
    (process("environment: {A: [1]}"), ['3:22 "A" must be text']),
    (process("environment: {A: }"), ['3:21 "A" has no value: it must be text']),
    (
        process("environment: {1A: x}"),
        ['3:19 "1A" cannot be the name of an environment variable: letters, digits and _, no digit first'],
    ),
    (
        process("environment: {A-B: x}"),
        ['3:19 "A-B" cannot be the name of an environment variable: letters, digits and _, no digit first'],
    ),
    (process("maximum_concurrency: 0"), ['3:26 "maximum_concurrency" must be at least 1']),
    (
        process("credentials: prod"),
        ['3:18 "credentials" must be none or inherit: profiles are not supported yet, set AWS_PROFILE in environment instead'],
    ),
    (process("layers: []"), ['3:5 "layers" is not supported yet: put their content below the folder of code']),
    (
        process("ReservedConcurrentExecutions: 5"),
        ['3:5 "ReservedConcurrentExecutions" is Lambda\'s name: use maximum_concurrency'],
    ),
    (process("CodeUri: x"), ['3:5 "CodeUri" is the name in SAM: use code']),
    (process("role: x"), ['3:5 "role" means nothing here: see credentials']),
    (process("url: x"), ['3:5 "url" is not supported yet: it belongs to executor http']),
    (process("timeuot: 5"), ['3:5 unknown key "timeuot", did you mean "timeout"?']),
    (process("MemorySiz: 5"), ['3:5 unknown key "MemorySiz", did you mean "MemorySize"?']),
    (process("timeout: 5\n    Timeout: 6"), ['4:5 "Timeout" repeats "timeout", first at config.yaml:3:5']),
    (
        inline("memory_size: 128"),
        ['3:5 "memory_size" belongs to executor process: an inline handler runs inside of poller, with all that poller has'],
    ),
    (
        inline("Environment: {}"),
        ['3:5 "Environment" belongs to executor process: an inline handler runs inside of poller, with all that poller has'],
    ),
    (
        inline("credentials: none"),
        ['3:5 "credentials" belongs to executor process: an inline handler runs inside of poller, with all that poller has'],
    ),
    (inline("maximum_concurrency: null"), ['3:26 "maximum_concurrency" has no value: it must be an integer']),
    (mapping("name: ''"), ['3:11 "name" must be 1 to 64 letters, digits, - or _']),
    (mapping("name: a b"), ['3:11 "name" must be 1 to 64 letters, digits, - or _']),
    (
        mapping("name: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        ['3:11 "name" must be 1 to 64 letters, digits, - or _'],
    ),
    (mapping("name: 5"), ['3:11 "name" must be text, put it in quotes: "..."']),
    (mapping("name: orders.eu"), ['3:11 "name" must be 1 to 64 letters, digits, - or _']),
    (mapping("uuid: abc"), ['3:11 "uuid" must be a UUID, for example 6b2f0a9e-3c51-4d0c-9c3e-2f1f4f6d1a77']),
    (mapping("uuid: 12"), ['3:11 "uuid" must be text, put it in quotes: "..."']),
    (
        mapping("event_source_arn: orders"),
        [
            '3:23 Unrecognized event source. "event_source_arn" must be the ARN of a Kinesis stream, arn:aws:kinesis:REGION:ACCOUNT:stream/NAME'
        ],
    ),
    (
        mapping("event_source_arn: arn:aws:kinesis:eu-west-1:123456789012:orders"),
        [
            '3:23 Unrecognized event source. "event_source_arn" must be the ARN of a Kinesis stream, arn:aws:kinesis:REGION:ACCOUNT:stream/NAME'
        ],
    ),
    (
        mapping("event_source_arn: arn:aws:kinesis::123456789012:stream/orders"),
        [
            '3:23 Unrecognized event source. "event_source_arn" must be the ARN of a Kinesis stream, arn:aws:kinesis:REGION:ACCOUNT:stream/NAME'
        ],
    ),
    (
        mapping("event_source_arn: arn:aws:kinesis:eu-west-1:1234:stream/orders"),
        [
            '3:23 Unrecognized event source. "event_source_arn" must be the ARN of a Kinesis stream, arn:aws:kinesis:REGION:ACCOUNT:stream/NAME'
        ],
    ),
    (
        mapping("event_source_arn: arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/c:1700000000"),
        ['3:23 "event_source_arn" names an enhanced fan-out consumer, which is not supported yet: use the ARN of its stream'],
    ),
    (
        mapping("event_source_arn: arn:aws:sqs:eu-west-1:123456789012:q"),
        ['3:23 "event_source_arn" names a source that is not supported yet: SQS queues; use a Kinesis stream'],
    ),
    (
        mapping("event_source_arn: arn:aws:dynamodb:eu-west-1:123456789012:table/t/stream/x"),
        ['3:23 "event_source_arn" names a source that is not supported yet: DynamoDB streams; use a Kinesis stream'],
    ),
    (
        mapping("event_source_arn: arn:aws:kafka:eu-west-1:123456789012:cluster/c/x"),
        ['3:23 "event_source_arn" names a source that is not supported yet: Kafka clusters; use a Kinesis stream'],
    ),
    (
        mapping("event_source_arn: arn:aws:mq:eu-west-1:123456789012:broker:b:x"),
        ['3:23 "event_source_arn" names a source that is not supported yet: Amazon MQ brokers; use a Kinesis stream'],
    ),
    (
        mapping("event_source_arn: arn:aws:rds:eu-west-1:123456789012:cluster:c"),
        ['3:23 "event_source_arn" names a source that is not supported yet: DocumentDB clusters; use a Kinesis stream'],
    ),
    (
        mapping("event_source_arn: arn:aws:s3:::bucket"),
        [
            '3:23 Unrecognized event source. "event_source_arn" must be the ARN of a Kinesis stream, arn:aws:kinesis:REGION:ACCOUNT:stream/NAME'
        ],
    ),
    (mapping("function_name: g"), ['3:20 Function does not exist: "g" is not under functions']),
    (mapping("function_name: ''"), ['3:20 "function_name" must not be empty']),
    (mapping("function_name: null"), ['3:20 "function_name" has no value: it must be text']),
    (mapping("enabled: yes"), ['3:14 "enabled" must be true or false; yes, no, on and off are text']),
    (mapping("enabled: 1"), ['3:14 "enabled" must be true or false']),
    (mapping("batch_size: 0"), ['3:17 "batch_size" must be from 1 to 10000']),
    (mapping("BatchSize: 10001"), ['3:16 "BatchSize" must be from 1 to 10000']),
    (mapping("batch_size: '100'"), ['3:17 "batch_size" must be an integer, without unit or quotes']),
    (mapping("batch_size: 0100"), ['3:17 "batch_size" must be an integer, without unit or quotes']),
    (mapping("batch_size: 1_000"), ['3:17 "batch_size" must be an integer, without unit or quotes']),
    (mapping("batch_size: true"), ['3:17 "batch_size" must be an integer']),
    (mapping("batch_size:"), ['3:16 "batch_size" has no value: it must be an integer']),
    (mapping("bach_size: 50"), ['3:5 unknown key "bach_size", did you mean "batch_size"?']),
    (mapping("BachSize: 50"), ['3:5 unknown key "BachSize", did you mean "BatchSize"?']),
    (mapping("batchSize: 50"), ['3:5 unknown key "batchSize", did you mean "batch_size"?']),
    (mapping("batch-size: 50"), ['3:5 unknown key "batch-size", did you mean "batch_size"?']),
    (mapping("maximum_batching_window_in_seconds: -1"), ['3:41 "maximum_batching_window_in_seconds" must be from 0 to 300']),
    (mapping("maximum_batching_window_in_seconds: 301"), ['3:41 "maximum_batching_window_in_seconds" must be from 0 to 300']),
    (mapping("maximum_batching_window_in_seconds: 0.5"), ['3:41 "maximum_batching_window_in_seconds" must be an integer']),
    (
        mapping("parallelization_factor: 2"),
        ['3:29 "parallelization_factor" above 1 is not supported yet: use 1, and more shards'],
    ),
    (mapping("parallelization_factor: 0"), ['3:29 "parallelization_factor" must be from 1 to 10']),
    (mapping("parallelization_factor: 11"), ['3:29 "parallelization_factor" must be from 1 to 10']),
    (
        mapping("starting_position: TRIM_HORIZN"),
        ['3:24 "starting_position" must be TRIM_HORIZON, LATEST or AT_TIMESTAMP, did you mean "TRIM_HORIZON"?'],
    ),
    (
        mapping("starting_position: latest"),
        ['3:24 "starting_position" must be TRIM_HORIZON, LATEST or AT_TIMESTAMP, did you mean "LATEST"?'],
    ),
    (mapping("starting_position: 5"), ['3:24 "starting_position" must be TRIM_HORIZON, LATEST or AT_TIMESTAMP']),
    (
        mapping("starting_position: AT_TIMESTAMP"),
        [
            '3:5 missing key "starting_position_timestamp": AT_TIMESTAMP needs it, for example starting_position_timestamp: 2026-01-01T00:00:00Z'
        ],
    ),
    (
        mapping("starting_position_timestamp: 1700000000"),
        ['3:5 "starting_position_timestamp" belongs to AT_TIMESTAMP, not to LATEST'],
    ),
    (mapping("maximum_retry_attempts: -2"), ['3:29 "maximum_retry_attempts" must be from -1 to 10000']),
    (mapping("maximum_retry_attempts: 10001"), ['3:29 "maximum_retry_attempts" must be from -1 to 10000']),
    (
        mapping("maximum_record_age_in_seconds: 0"),
        ['3:36 "maximum_record_age_in_seconds" must be -1 (never too old) or from 60 to 604800'],
    ),
    (
        mapping("maximum_record_age_in_seconds: 59"),
        ['3:36 "maximum_record_age_in_seconds" must be -1 (never too old) or from 60 to 604800'],
    ),
    (
        mapping("maximum_record_age_in_seconds: 604801"),
        ['3:36 "maximum_record_age_in_seconds" must be -1 (never too old) or from 60 to 604800'],
    ),
    (
        mapping("MaximumRecordAgeInSeconds: -2"),
        ['3:32 "MaximumRecordAgeInSeconds" must be -1 (never too old) or from 60 to 604800'],
    ),
    (
        mapping("bisect_batch_on_function_error: on"),
        ['3:37 "bisect_batch_on_function_error" must be true or false; yes, no, on and off are text'],
    ),
    (mapping("function_response_types: ReportBatchItemFailures"), ['3:30 "function_response_types" must be a list']),
    (mapping("function_response_types: [Other]"), ['3:31 an item of "function_response_types" must be ReportBatchItemFailures']),
    (
        mapping("function_response_types: [ReportBatchItemFailures, ReportBatchItemFailures]"),
        ['3:30 "function_response_types" must be a list of at most 1'],
    ),
    (
        mapping("destination_config: {on_failure: {destination: 'arn:aws:sqs:eu-west-1:123456789012:q.fifo'}}"),
        ['3:52 "destination" cannot be a FIFO queue (Lambda refuses it too): use a standard SQS queue'],
    ),
    (
        mapping("destination_config: {on_failure: {destination: 'arn:aws:sns:eu-west-1:123456789012:t'}}"),
        ['3:52 "destination" names a destination that is not supported yet: SNS topics; use a standard SQS queue'],
    ),
    (
        mapping("destination_config: {on_failure: {destination: 'arn:aws:s3:::bucket'}}"),
        ['3:52 "destination" names a destination that is not supported yet: S3 buckets; use a standard SQS queue'],
    ),
    (
        mapping("destination_config: {on_failure: {destination: 'kafka://topic'}}"),
        ['3:52 "destination" names a destination that is not supported yet: Kafka topics; use a standard SQS queue'],
    ),
    (
        mapping("destination_config: {on_failure: {destination: q}}"),
        ['3:52 "destination" must be the ARN of a standard SQS queue, arn:aws:sqs:REGION:ACCOUNT:NAME'],
    ),
    (
        mapping("destination_config: {on_failure: {destinaton: q}}"),
        ['3:39 unknown key "destinaton", did you mean "destination"?'],
    ),
    (mapping("destination_config: {on_succes: {}}"), ['3:26 unknown key "on_succes"']),
    (
        mapping("DestinationConfig: {OnSuccess: {Destination: x}}"),
        ['3:25 "OnSuccess" cannot be set: Unsupported DestinationConfig parameter for given event source mapping type.'],
    ),
    (mapping("destination_config: {on_failure: x}"), ['3:38 "on_failure" must be a mapping (key: value)']),
    (mapping("resume: LATEST"), ['3:13 "resume" must be fail, latest or trim_horizon, did you mean "latest"?']),
    (mapping("region: ''"), ['3:13 "region" must be the name of a region, for example eu-west-1']),
    (
        mapping("endpoint_url: ftp://x"),
        ['3:19 "endpoint_url" must be a URL, http://HOST:PORT or https://HOST:PORT, without a password'],
    ),
    (mapping("filter_criteria: {}"), ['3:5 "filter_criteria" is not supported yet: let the handler skip what it does not want']),
    (
        mapping("TumblingWindowInSeconds: {}"),
        ['3:5 "TumblingWindowInSeconds" is not supported yet: keep state in the handler\'s own storage'],
    ),
    (mapping("KMSKeyArn: {}"), ['3:5 "KMSKeyArn" is not supported yet: it encrypts filters, which are not supported yet either']),
    (mapping("MetricsConfig: {}"), ['3:5 "MetricsConfig" is not needed: all metrics are on, see http']),
    (mapping("logging_config: {}"), ['3:5 "logging_config" is not supported yet: use log at the top of the file']),
    (
        mapping("ScalingConfig: {}"),
        [
            '3:5 "ScalingConfig" is not supported yet: it belongs to queues; limit a stream\'s function with its maximum_concurrency'
        ],
    ),
    (
        mapping("provisioned_poller_config: {}"),
        [
            '3:5 "provisioned_poller_config" is not supported yet: it belongs to queues; limit a stream\'s function with its maximum_concurrency'
        ],
    ),
    (mapping("topics: {}"), ['3:5 "topics" is not supported yet: it belongs to Kafka; use a Kinesis stream']),
    (
        mapping("SelfManagedEventSource: {}"),
        ['3:5 "SelfManagedEventSource" is not supported yet: it belongs to Kafka; use a Kinesis stream'],
    ),
    (
        mapping("SelfManagedKafkaEventSourceConfig: {}"),
        ['3:5 "SelfManagedKafkaEventSourceConfig" is not supported yet: it belongs to Kafka; use a Kinesis stream'],
    ),
    (
        mapping("AmazonManagedKafkaEventSourceConfig: {}"),
        ['3:5 "AmazonManagedKafkaEventSourceConfig" is not supported yet: it belongs to Kafka; use a Kinesis stream'],
    ),
    (
        mapping("source_access_configurations: {}"),
        ['3:5 "source_access_configurations" is not supported yet: it belongs to Kafka and brokers; use a Kinesis stream'],
    ),
    (mapping("Queues: {}"), ['3:5 "Queues" is not supported yet: it belongs to Amazon MQ; use a Kinesis stream']),
    (
        mapping("DocumentDBEventSourceConfig: {}"),
        ['3:5 "DocumentDBEventSourceConfig" is not supported yet: it belongs to DocumentDB; use a Kinesis stream'],
    ),
    (mapping("Tags: {}"), ['3:5 "Tags" is not supported yet: leave it out']),
    (
        mapping("starting_position: AT_TIMESTAMP\n    starting_position_timestamp: 1800000001"),
        ['4:34 "starting_position_timestamp" must not be in the future'],
    ),
    (
        mapping("starting_position: AT_TIMESTAMP\n    starting_position_timestamp: 2030-01-01T00:00:00Z"),
        ['4:34 "starting_position_timestamp" must not be in the future'],
    ),
    (
        mapping("starting_position: AT_TIMESTAMP\n    starting_position_timestamp: 2026-01-01"),
        [
            '4:34 "starting_position_timestamp" must be Unix seconds, or a date and time with its offset: 1767225600 or 2026-01-01T00:00:00Z'
        ],
    ),
    (
        mapping("starting_position: AT_TIMESTAMP\n    starting_position_timestamp: 2026-01-01T00:00:00"),
        [
            '4:34 "starting_position_timestamp" must be Unix seconds, or a date and time with its offset: 1767225600 or 2026-01-01T00:00:00Z'
        ],
    ),
    (
        mapping("starting_position: AT_TIMESTAMP\n    starting_position_timestamp: -1"),
        [
            '4:34 "starting_position_timestamp" must be Unix seconds, or a date and time with its offset: 1767225600 or 2026-01-01T00:00:00Z'
        ],
    ),
    (
        mapping("starting_position: AT_TIMESTAMP\n    starting_position_timestamp: true"),
        [
            '4:34 "starting_position_timestamp" must be Unix seconds, or a date and time with its offset: 1767225600 or 2026-01-01T00:00:00Z'
        ],
    ),
    (
        mapping("starting_position: AT_TIMESTAMP\n    starting_position_timestamp: yesterday"),
        [
            '4:34 "starting_position_timestamp" must be Unix seconds, or a date and time with its offset: 1767225600 or 2026-01-01T00:00:00Z'
        ],
    ),
    (
        mapping("starting_position: AT_TIMESTAMP\n    starting_position_timestamp: null"),
        [
            '4:5 missing key "starting_position_timestamp": AT_TIMESTAMP needs it, for example starting_position_timestamp: 2026-01-01T00:00:00Z'
        ],
    ),
    (
        mapping("starting_position: AT_TIMESTAMP\n    starting_position_timestamp: [1]"),
        [
            '4:34 "starting_position_timestamp" must be Unix seconds, or a date and time with its offset: 1767225600 or 2026-01-01T00:00:00Z'
        ],
    ),
    (
        mapping("starting_position: AT_TIMESTAMP\n    starting_position_timestamp: 9999-12-31T23:59:59Z"),
        ['4:34 "starting_position_timestamp" must not be in the future'],
    ),
]

MISSING = [
    ("name", 'missing key "name", for example name: orders'),
    ("event_source_arn", f'missing key "event_source_arn", for example event_source_arn: {STREAM}'),
    ("function_name", 'missing key "function_name", for example function_name: orders'),
    (
        "starting_position",
        'missing key "starting_position", for example starting_position: TRIM_HORIZON'
        " (Lambda: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null.)",
    ),
]


@pytest.mark.parametrize(("text", "path", "value"), VALID)
def test_a_valid_value_is_taken(text: str, path: str, value: object) -> None:
    taken = attribute(loaded(text), path)
    assert taken == value
    assert type(taken) is type(value)


@pytest.mark.parametrize(("text", "expected"), INVALID)
def test_an_invalid_value_is_refused_at_its_place(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


@pytest.mark.parametrize(("key", "message"), MISSING)
def test_a_missing_key_is_named_where_its_mapping_begins(key: str, message: str) -> None:
    kept = "\n    ".join(f"{name}: {value}" for name, value in MAPPING.items() if name != key)
    assert problems(item(kept)) == [f"3:5 {message}"]


@pytest.mark.parametrize("key", ["runtime", "handler"])
def test_a_missing_key_of_a_function_is_named_at_the_functions_name(key: str) -> None:
    kept = "\n    ".join(f"{name}: {value}" for name, value in PROCESS.items() if name != key)
    assert problems(bare(kept)) == [f'2:3 missing key "{key}", for example {key}: {PROCESS[key]}']


def test_a_file_without_its_two_sections_is_told_so_at_its_beginning() -> None:
    assert problems("\naws: {}\n") == ['2:1 missing key "functions"', '2:1 missing key "event_source_mappings"']


def test_two_mappings_cannot_share_a_name_or_a_source_and_a_function() -> None:
    one = "\n    ".join(f"{name}: {value}" for name, value in MAPPING.items())
    assert problems(f"{item(one)}  - {one}\n") == [
        '7:11 another mapping has the name "m", first at config.yaml:3:11',
        f'8:23 The event source arn (" {STREAM} ") and function (" f ") provided mapping already exists,'
        " first at config.yaml:4:23",
    ]


def test_two_mappings_cannot_share_checkpoints_by_a_uuid_that_follows_from_the_others_name() -> None:
    uuid = loaded(mapping("name: m")).event_source_mappings[0].uuid
    other = STREAM.replace("orders", "other")
    text = f"{mapping('name: m')}  - {{name: n, uuid: {uuid}, event_source_arn: {other}, function_name: f, starting_position: LATEST}}"
    assert problems(text) == [
        "7:21 another mapping has this UUID: the two would share their checkpoints, first at config.yaml:3:11"
    ]


def test_a_function_that_does_not_exist_is_named_with_the_one_that_was_meant() -> None:
    text = mapping("function_name: ordrs").replace("{f:", "{orders:")
    assert problems(text) == [
        '3:20 Function does not exist: "ordrs" is not under functions, did you mean "orders"?',
    ]


def test_a_mapping_may_name_a_function_that_has_errors_of_its_own() -> None:
    assert problems(mapping("name: m").replace("app.handler", "app")) == [
        '1:45 "handler" must be "module.function", for example app.handler',
    ]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    text = mapping("batch_size: 0").replace("inline", "http").replace("LATEST", "LAST").replace(": f\n", ": g\n")
    assert problems(f"lag: 1\n{text}") == [
        '1:1 unknown key "lag", did you mean "log"?',
        '2:27 executor "http" is not supported yet: use process or inline',
        '4:17 "batch_size" must be from 1 to 10000',
        '7:20 Function does not exist: "g" is not under functions',
        '8:24 "starting_position" must be TRIM_HORIZON, LATEST or AT_TIMESTAMP',
    ]


def test_both_spellings_of_one_field_are_one_too_many() -> None:
    assert problems(mapping("BatchSize: 5\n    batch_size: 6")) == [
        '4:5 "batch_size" repeats "BatchSize", first at config.yaml:3:5',
    ]
