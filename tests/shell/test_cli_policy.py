"""The policy is least, and stays so: what the Apis can call is read from their code, what adapters ask of them from theirs."""

from __future__ import annotations

import ast
import inspect
import json
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore import xform_name

from poller import iam
from poller.apis import dead_letters, dynamodb_streams, kinesis, lambda_, s3, sns, sqs
from poller.cli import main
from poller.destinations import kinesis as target
from poller.destinations import s3 as bucket
from poller.destinations import sns as topic
from poller.destinations import sqs as destination
from poller.executors import invoke_api
from poller.sources import dynamodb as dynamodb_source
from poller.sources import kinesis as kinesis_source
from poller.sources import sqs as queue_source

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


CLIENTS = {"_client", "_polls"}
STREAM, QUEUE, FAILED = (
    "arn:aws:kinesis:eu-west-1:111122223333:stream/orders",
    "arn:aws:sqs:eu-west-1:111122223333:mails",
    "arn:aws:sqs:eu-west-1:111122223333:failed",
)


def operations(service: str) -> dict[str, str]:
    """The service's operations by the name of the client's method."""
    names = botocore.session.get_session().get_service_model(service).operation_names
    return {xform_name(name): name for name in names}


def called(module: ModuleType, name: str, service: str) -> dict[str, set[str]]:
    """By method of the Api: the operations that it, or what it calls on itself, can ask the client for."""
    [found] = [
        node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.ClassDef) and node.name == name
    ]
    methods = {node.name: node for node in found.body if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)}
    known = operations(service)

    def reached(method: str, seen: frozenset[str] = frozenset()) -> set[str]:
        asked: set[str] = set()
        for node in ast.walk(methods[method]):
            match node:
                case ast.Attribute(value=ast.Attribute(value=ast.Name(id="self"), attr=client), attr=call) if client in CLIENTS:
                    asked.add(known[call])
                case ast.Attribute(value=ast.Name(id="self"), attr=other) if other in methods.keys() - seen - {method}:
                    asked |= reached(other, seen | {method})
        return asked

    return {name: reached(name) for name in methods if not name.startswith("_")}


def asked_by(module: ModuleType, api: dict[str, set[str]]) -> set[str]:
    """The operations behind what an adapter asks of its Api."""
    used = {node.attr for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Attribute)}
    return {operation for method in used & api.keys() for operation in api[method]}


def test_the_reading_of_code_finds_what_is_known_to_be_there() -> None:
    assert called(sqs, "BotoSqsApi", "sqs")["send_message"] == {"SendMessage", "GetQueueUrl"}
    assert called(kinesis, "BotoKinesisApi", "kinesis")["get_records"] == {"GetRecords"}


def test_every_call_that_an_api_can_make_has_its_action_and_no_other_has() -> None:
    apis = (
        called(kinesis, "BotoKinesisApi", "kinesis"),
        called(sqs, "BotoSqsApi", "sqs"),
        called(dead_letters, "BotoDeadLetterApi", "sqs"),
        called(lambda_, "BotoLambdaApi", "lambda"),
        called(sns, "BotoSnsApi", "sns"),
        called(s3, "BotoS3Api", "s3"),
    )
    assert {operation for api in apis for method in api.values() for operation in method} == iam.ACTIONS.keys()


@pytest.mark.rule("stream.poll.actions")
def test_each_use_is_allowed_what_its_adapter_asks_and_nothing_else() -> None:
    queues = called(sqs, "BotoSqsApi", "sqs")
    assert asked_by(kinesis_source, called(kinesis, "BotoKinesisApi", "kinesis")) == set(iam.STREAM)
    tables = called(dynamodb_streams, "BotoDynamoDbStreamsApi", "dynamodbstreams")
    assert asked_by(dynamodb_source, tables) == set(iam.TABLE) == iam.OF_TABLES.keys()
    assert asked_by(queue_source, queues) == set(iam.QUEUE)
    assert asked_by(destination, queues) == set(iam.DESTINATION)
    assert asked_by(topic, called(sns, "BotoSnsApi", "sns")) == set(iam.TOPIC)
    assert asked_by(target, called(kinesis, "BotoKinesisApi", "kinesis")) == set(iam.TARGET)
    assert asked_by(bucket, called(s3, "BotoS3Api", "s3")) == set(iam.BUCKET)
    assert asked_by(invoke_api, called(lambda_, "BotoLambdaApi", "lambda")) == set(iam.FUNCTION)


def test_actions_are_those_of_the_service_and_batches_go_by_the_single_ones() -> None:
    for operation, action in iam.ACTIONS.items():
        service, _, name = action.partition(":")
        assert operation in operations(service).values()
        assert name == ("InvokeFunction" if operation == "Invoke" else operation.removesuffix("Batch"))


def config(folder: Path, *mappings: dict[str, Any]) -> str:
    path = folder / "poller.yaml"
    functions = {"f": {"executor": "process", "runtime": "python", "handler": "app.handler"}}
    path.write_text(json.dumps({"functions": functions, "event_source_mappings": mappings}))
    return str(path)


def stream(**change: object) -> dict[str, Any]:
    return {"name": "s", "event_source_arn": STREAM, "function_name": "f", "starting_position": "LATEST"} | change


def queue(**change: object) -> dict[str, Any]:
    return {"name": "q", "event_source_arn": QUEUE, "function_name": "f"} | change


def to(arn: str) -> dict[str, Any]:
    return {"destination_config": {"on_failure": {"destination": arn}}}


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[dict[str, list[str]], str]:
    """Resources by statement, and what was said beside it."""
    assert main(["policy", *arguments]) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert answer["Version"] == "2012-10-17"
    assert all(each["Effect"] == "Allow" and each["Action"] for each in answer["Statement"])
    return {each["Sid"]: each["Resource"] for each in answer["Statement"]}, err


def test_each_resource_stands_where_it_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    disabled = stream(**to(FAILED), enabled=False)
    both = queue(name="f", event_source_arn=FAILED)
    assert document(capsys, config(tmp_path, disabled, queue(), both)) == (
        {"ReadStreams": [STREAM], "PollQueues": [FAILED, QUEUE], "ReportFailures": [FAILED]},
        "",
    )


def test_destinations_need_an_action_by_their_kind_and_those_outside_of_aws_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = f"{STREAM}-failed"
    kinds = (other, "https://hooks.example.com/failed", "file:failed.jsonl", "arn:aws:s3:::failed")
    mappings = [stream(name=f"m{n}", event_source_arn=f"{STREAM}-{n}", **to(each)) for n, each in enumerate(kinds)]
    found, _ = document(capsys, config(tmp_path, *mappings))
    assert found == {
        "ReadStreams": [f"{STREAM}-{n}" for n in range(4)],
        "ReportFailuresToBuckets": ["arn:aws:s3:::failed/*"],
        "ReportFailuresToStreams": [other],
    }


@pytest.mark.rule("dynamodb.poll.actions")
def test_streams_of_tables_have_actions_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders/stream/2026-01-01T00:00:00.000"
    path = config(tmp_path, stream(event_source_arn=table))
    assert main(["policy", path]) == 0
    (statement,) = json.loads(capsys.readouterr().out)["Statement"]
    actions = ["dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords"]
    assert statement == {"Sid": "ReadTables", "Effect": "Allow", "Action": actions, "Resource": [table]}


def test_only_what_is_there_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert document(capsys, config(tmp_path, queue())) == ({"PollQueues": [QUEUE]}, "")
    nothing, note = document(capsys, config(tmp_path))
    assert nothing == {}
    assert "no mappings" in note


def test_profiles_can_be_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = config(tmp_path, stream(profile="audit", **to(FAILED)), queue())
    everything, note = document(capsys, path)
    assert set(everything) == {"ReadStreams", "PollQueues", "ReportFailures"}
    assert "--profile NAME" in note
    assert document(capsys, path, "--profile", "audit") == ({"ReadStreams": [STREAM], "ReportFailures": [FAILED]}, "")
    assert main(["policy", path, "--profile", "other"]) == 2
    assert "profiles in use: audit" in capsys.readouterr().err


def test_one_that_is_too_long_to_be_managed_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = [queue(name=f"q{number}", event_source_arn=f"{QUEUE}-{number:050}") for number in range(100)]
    resources, note = document(capsys, config(tmp_path, *many))
    assert len(resources["PollQueues"]) == 100
    assert "6,144" in note


def test_a_wrong_configuration_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", config(tmp_path, queue(bach_size=3))]) == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert "bach_size" in err


def test_functions_of_lambda_are_named_as_far_as_they_are_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "poller.yaml"
    known = "arn:aws:lambda:eu-west-1:111122223333:function:known"
    functions = {
        "a": {"executor": "lambda", "function_name": "orders"},
        "b": {"executor": "lambda", "function_name": known, "qualifier": "live"},
        "c": {"executor": "lambda", "function_name": "111122223333:function:other:3", "region": "eu-west-2"},
        "d": {"executor": "lambda", "function_name": "audited", "profile": "audit"},
        "e": {"executor": "http", "url": "http://127.0.0.1:9000"},
    }
    path.write_text(json.dumps({"functions": functions, "event_source_mappings": []}))
    everything, note = document(capsys, str(path))
    assert everything == {
        "InvokeFunctions": [
            "arn:aws:lambda:*:*:function:audited",
            "arn:aws:lambda:*:*:function:orders",
            f"{known}:live",
            "arn:aws:lambda:eu-west-2:111122223333:function:other:3",
        ]
    }
    assert "--profile NAME" in note
    audited, _ = document(capsys, str(path), "--profile", "audit")
    assert audited == {"InvokeFunctions": ["arn:aws:lambda:*:*:function:audited"]}
