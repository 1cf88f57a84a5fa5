from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from support.config_rows import NOWHERE

from poller.clock import SystemClock
from poller.config import Config, Connection, InvalidConfig, QueueMappingConfig, StreamMappingConfig, load
from poller.config.filters import LONGEST_PATTERN, MOST_FILTERS
from poller.config.mappings import default_uuid
from poller.core.breaker import BreakerLimits
from poller.core.filters import FILTERS_LIMIT, FILTERS_LIMIT_RAISED, KINESIS, PATTERN_LIMIT, SQS, compile_filter
from poller.core.scaling import PollerLimits

STREAM = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:mails"
FAILED = "arn:aws:sqs:eu-central-1:123456789012:failed"
ON_FAILURE = {"on_failure": {"destination": FAILED}}
FUNCTIONS = {"f": {"executor": "inline", "handler": "app.handler"}, "g": {"executor": "inline", "handler": "app.handler"}}


def queue(**fields: object) -> dict[str, object]:
    return {"name": "m", "event_source_arn": QUEUE, "function_name": "f"} | fields


def config(*mappings: object) -> Config:
    """A configuration made without a file."""
    return Config.model_validate({"functions": FUNCTIONS, "event_source_mappings": mappings})


def problems(*mappings: object) -> list[tuple[tuple[str | int, ...], str]]:
    """Path, from the list of mappings on, and message of every problem."""
    with pytest.raises(ValidationError) as caught:
        config(*mappings)
    return [(error["loc"][1:], error["msg"]) for error in caught.value.errors()]


def test_the_defaults_of_a_queue_are_lambdas_where_lambda_has_the_field() -> None:
    (mapping,) = config(queue()).event_source_mappings
    assert mapping.model_dump() == {
        "name": "m",
        "uuid": default_uuid("m"),
        "event_source_arn": QUEUE,
        "function_name": "f",
        "enabled": True,
        "batch_size": 10,
        "maximum_batching_window_in_seconds": 0,
        "function_response_types": (),
        "filter_criteria": {"dry_run": False, "filters": ()},
        "maximum_receive_count": None,
        "destination_config": {"on_failure": NOWHERE},
        "on_destination_error": "wait",
        "release": "backoff",
        "fifo_group_guard": True,
        "receive_wait": 20,
        "on_filtered": "delete",
        "priority": 0,
        "circuit_breaker": {"failures": None, "error_rate": None, "batches": 20, "probe_interval": 30},
        "scaling_config": {"maximum_concurrency": None},
        "provisioned_poller_config": {"minimum_pollers": None, "maximum_pollers": None},
        "minimum_pollers": 1,
        "maximum_in_flight": 100_000,
        "region": None,
        "endpoint_url": None,
        "profile": None,
    }


def test_the_source_says_which_model_a_mapping_is() -> None:
    stream = {"name": "s", "event_source_arn": STREAM, "function_name": "f", "starting_position": "LATEST"}
    made = config(stream, queue()).event_source_mappings
    assert [type(each) for each in made] == [StreamMappingConfig, QueueMappingConfig]
    assert [each.source_type for each in made] == ["kinesis", "sqs"]
    assert [each.shape for each in made] == [KINESIS, SQS]


def test_models_made_by_hand_are_taken_as_they_are() -> None:
    made = QueueMappingConfig.model_validate(queue())
    assert config(made).event_source_mappings == (made,)


def test_a_model_made_by_hand_takes_its_own_kind_of_source_only() -> None:
    with pytest.raises(ValidationError, match="must be the ARN of an SQS queue"):
        QueueMappingConfig.model_validate(queue(event_source_arn=STREAM))
    with pytest.raises(ValidationError, match="must be the ARN of a Kinesis stream"):
        StreamMappingConfig.model_validate(queue(starting_position="LATEST"))


def test_the_paths_of_errors_lead_through_no_tag_of_a_union() -> None:
    bad = queue(batch_size=0, filter_criteria={"filters": [{"pattern": "{"}, {"pattern": 1}]}, resume="fail")
    assert {path for path, _ in problems(queue(name="ok", function_name="g"), bad)} == {
        (1, "batch_size"),
        (1, "resume"),
        (1, "filter_criteria", "filters", 0, "pattern"),
        (1, "filter_criteria", "filters", 1, "pattern"),
    }


@pytest.mark.parametrize("given", [None, 5, "queue", [QUEUE]])
def test_what_is_no_mapping_is_said_so(given: object) -> None:
    ((path, message),) = problems(given)
    assert path == (0,)
    assert message.startswith('an item of "event_source_mappings"')
    assert "must be a mapping (key: value)" in message


def test_a_queue_and_its_destination_are_reached_like_a_stream_and_its_own() -> None:
    made = config(queue(profile="own", endpoint_url="http://own:1", maximum_receive_count=3, destination_config=ON_FAILURE))
    (mapping,) = made.event_source_mappings
    assert made.source_connection(mapping) == Connection(region="eu-west-1", endpoint_url="http://own:1", profile="own")
    assert made.destination_connection(mapping) == Connection(region="eu-central-1", endpoint_url="http://own:1", profile="own")
    plain = config(queue())
    assert plain.destination_connection(plain.event_source_mappings[0]) is None


def test_a_second_mapping_of_a_queue_and_a_function_is_refused_in_lambdas_words() -> None:
    assert problems(queue(), queue(name="n")) == [
        ((1, "event_source_arn"), f'An event source mapping with SQS arn (" {QUEUE} ") and function (" f ") already exists')
    ]
    made = config(queue(), queue(name="n", function_name="g")).event_source_mappings
    assert [each.function_name for each in made] == ["f", "g"]


def test_there_may_be_as_many_filters_as_aws_allows_on_request() -> None:
    one = {"pattern": {"body": ["x"]}}
    assert FILTERS_LIMIT < FILTERS_LIMIT_RAISED == MOST_FILTERS
    assert PATTERN_LIMIT == LONGEST_PATTERN
    made = config(queue(filter_criteria={"filters": [one] * FILTERS_LIMIT_RAISED})).event_source_mappings[0]
    assert len(made.patterns) == FILTERS_LIMIT_RAISED
    ((path, message),) = problems(queue(filter_criteria={"filters": [one] * (FILTERS_LIMIT_RAISED + 1)}))
    assert (path, message) == ((0, "filter_criteria", "filters"), '"filters" must be a list of at most 10')


def pattern_of(length: int) -> dict[str, list[str]]:
    """A pattern whose JSON, without spaces, is as long as this."""
    return {"body": ["é" * (length - len('{"body":[""]}'))]}


@pytest.mark.parametrize("as_text", [True, False], ids=["JSON", "YAML"])
def test_a_pattern_has_at_most_4096_characters_however_it_is_written(*, as_text: bool) -> None:
    def written(length: int) -> object:
        pattern = pattern_of(length)
        return json.dumps(pattern, ensure_ascii=False, separators=(",", ":")) if as_text else pattern

    made = config(queue(filter_criteria={"filters": [{"pattern": written(PATTERN_LIMIT)}]}))
    assert made.event_source_mappings[0].patterns == (written(PATTERN_LIMIT),)
    ((path, message),) = problems(queue(filter_criteria={"filters": [{"pattern": written(PATTERN_LIMIT + 1)}]}))
    assert path == (0, "filter_criteria", "filters", 0, "pattern")
    assert message == "Invalid filter pattern definition. It has 4097 characters of JSON, 4096 are allowed"


def test_patterns_mean_the_same_as_json_and_as_yaml() -> None:
    text, mapping = '{"body": {"n": [1, "1", null]}}', {"body": {"n": [1, "1", None]}}
    criteria = {"Filters": [{"Pattern": text}, {"Pattern": mapping}]}
    made = config(queue(FilterCriteria=criteria)).event_source_mappings[0]
    assert made.patterns == (text, mapping)
    assert compile_filter(made.patterns, made.shape).unknown == ()


def test_a_pattern_that_names_what_no_record_has_is_valid_as_in_lambda() -> None:
    made = config(queue(filter_criteria={"filters": [{"pattern": {"data": {"n": [1]}}}]})).event_source_mappings[0]
    assert compile_filter(made.patterns, made.shape).unknown == ("data",)


def test_a_function_named_environment_and_fields_of_that_name_are_read_as_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "functions: {environment: {executor: inline, handler: a.b, timeout: 5}}\n"
        "event_source_mappings:\n"
        f"  - {{name: m, event_source_arn: '{QUEUE}', function_name: environment,\n"
        "     filter_criteria: {filters: [{pattern: {body: {environment: [1]}}}]}}\n"
    )
    loaded = load(path, SystemClock(), environ={})
    assert loaded.functions["environment"].timeout == 5
    assert loaded.event_source_mappings[0].patterns == ({"body": {"environment": [1]}},)


def test_a_pattern_that_is_wrong_is_shown_with_its_line_and_a_caret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(
        "functions: {f: {executor: inline, handler: app.handler}}\n"
        "event_source_mappings:\n"
        "  - Name: mails\n"
        f"    EventSourceArn: {QUEUE}\n"
        "    FunctionName: f\n"
        "    FilterCriteria:\n"
        "      Filters:\n"
        """        - Pattern: '{"body": {"to": "me"}}'\n"""
    )
    with pytest.raises(InvalidConfig) as caught:
        load(Path("config.yaml"), SystemClock(), environ={})
    assert str(caught.value) == (
        'config.yaml:8:20: error: Invalid filter pattern definition. "to" must be an object or an array (at body.to)\n'
        """     8 |         - Pattern: '{"body": {"to": "me"}}'\n"""
        "       |                    ^"
    )


@pytest.mark.parametrize(
    ("fields", "limits"),
    [
        pytest.param({}, PollerLimits(quiet=1, polls=50, batches=50), id="as many as the function may run"),
        pytest.param({"minimum_pollers": 5}, PollerLimits(quiet=5, polls=50, batches=50), id="minimum_pollers"),
        pytest.param({"scaling_config": {"maximum_concurrency": 1}}, PollerLimits(polls=1, batches=1), id="one"),
        pytest.param(
            {"scaling_config": {"maximum_concurrency": 60}}, PollerLimits(polls=50, batches=50), id="above the function's"
        ),
        pytest.param(
            {"provisioned_poller_config": {"maximum_pollers": 3}},
            PollerLimits(quiet=2, polls=3, batches=30),
            id="ten for a poller",
        ),
        pytest.param(
            {"provisioned_poller_config": {"minimum_pollers": 7}},
            PollerLimits(quiet=7, polls=200, batches=50),
            id="Lambda's most",
        ),
    ],
)
def test_a_mapping_scales_between_what_it_says_and_what_its_function_may_run(
    fields: dict[str, object], limits: PollerLimits
) -> None:
    assert QueueMappingConfig.model_validate(queue(**fields)).pollers(50) == limits


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param(
            {"on_filtered": "destination"},
            '"on_filtered" needs destination_config.on_failure.destination to send them to',
            id="no destination",
        ),
        pytest.param(
            {"on_filtered": "release", "event_source_arn": f"{QUEUE}.fifo"},
            '"on_filtered" cannot be release for a FIFO queue: what goes back would hold up its whole group',
            id="FIFO",
        ),
    ],
)
def test_on_filtered_needs_what_it_uses(fields: dict[str, object], said: str) -> None:
    assert [text for _, text in problems(queue(**fields))] == [said]


def test_a_destination_for_what_is_filtered_needs_no_number_of_deliveries() -> None:
    target = {"on_failure": {"destination": "arn:aws:sqs:eu-west-1:123456789012:others"}}
    assert config(queue(on_filtered="destination", destination_config=target)).event_source_mappings


def test_a_circuit_breaker_is_off_until_it_says_when_it_opens() -> None:
    assert QueueMappingConfig.model_validate(queue(circuit_breaker={"batches": 50})).breaker is None
    made = QueueMappingConfig.model_validate(queue(circuit_breaker={"failures": 5, "probe_interval": 60}))
    assert made.breaker == BreakerLimits(failures=5, error_rate=None, batches=20, probe_interval=60)
