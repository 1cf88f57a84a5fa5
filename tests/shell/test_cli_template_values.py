"""Intrinsic functions, pseudo parameters and conditions of templates: what they come to, and what stays unknown."""

from __future__ import annotations

from typing import Any

import pytest

from poller.templates.draft import snake
from poller.templates.reader import parse
from poller.templates.resolver import Resolver
from poller.templates.text import scalar
from poller.templates.values import NO_VALUE, Surroundings, Unknown

TEMPLATE = """
Parameters:
  Stage: {Type: String, Default: dev}
  Sizes: {Type: CommaDelimitedList, Default: "1, 2,3"}
  Secret: {Type: String, Default: hunter2, NoEcho: true}
  Path: {Type: "AWS::SSM::Parameter::Value<String>", Default: /some/key}
  Open: {Type: String}
Mappings: {Zones: {eu-west-1: {name: west}}}
Conditions:
  Dev: !Equals [!Ref Stage, dev]
  NotDev: !Not [!Condition Dev]
  Both: !And [!Condition Dev, !Condition NotDev]
  Either: !Or [!Condition Perhaps, !Condition Dev]
  Perhaps: !Equals [!Ref Open, x]
  Round: !Condition Round
Resources:
  Stream: {Type: AWS::Kinesis::Stream, Properties: {Name: s}}
  Consumer: {Type: AWS::Kinesis::StreamConsumer, Properties: {ConsumerName: c, StreamARN: !GetAtt Stream.Arn}}
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub "q-${Stage}"}}
  Fifo: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}
  Named: {Type: AWS::SQS::Queue, Properties: {QueueName: !Ref Open}}
  Topic: {Type: AWS::SNS::Topic, Properties: {TopicName: t}}
  Function: {Type: AWS::Serverless::Function}
  Alias: {Type: AWS::Lambda::Alias, Properties: {FunctionName: !Ref Function, Name: live}}
  Self: {Type: AWS::SQS::Queue, Properties: {QueueName: !GetAtt Self.QueueName}}
"""


@pytest.fixture
def resolver() -> Resolver:
    return Resolver(parse(TEMPLATE, "t"), Surroundings(region="eu-west-1", account="111122223333", stack="shop"))


def value(text: str) -> Any:
    return parse(f"Resources: {{X: {{V: {text}}}}}", "t")["Resources"]["X"]["V"]  # type: ignore[call-overload, index]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("!Ref Stage", "dev"),
        ("!Ref Sizes", ["1", "2", "3"]),
        ("!Ref AWS::Region", "eu-west-1"),
        ("!Ref AWS::StackName", "shop"),
        ("!Ref AWS::NoValue", NO_VALUE),
        ("!Ref Queue", "https://sqs.eu-west-1.amazonaws.com/111122223333/q-dev"),
        ("!Ref Stream", "s"),
        ("!Ref Topic", "arn:aws:sns:eu-west-1:111122223333:t"),
        ("!Ref Alias", "arn:aws:lambda:eu-west-1:111122223333:function:Function:live"),
        ("!GetAtt Stream.Arn", "arn:aws:kinesis:eu-west-1:111122223333:stream/s"),
        ("!GetAtt [Queue, Arn]", "arn:aws:sqs:eu-west-1:111122223333:q-dev"),
        ("!GetAtt Fifo.Arn", "arn:aws:sqs:eu-west-1:111122223333:Fifo.fifo"),
        ("!GetAtt Consumer.ConsumerARN", "arn:aws:kinesis:eu-west-1:111122223333:stream/s/consumer/c:0"),
        ("{Fn::GetAtt: [Function, Arn]}", "arn:aws:lambda:eu-west-1:111122223333:function:Function"),
        ('!Sub "${Stage}-${Stream.Arn}-${!literal}"', "dev-arn:aws:kinesis:eu-west-1:111122223333:stream/s-${literal}"),
        ('!Sub ["${a}-${Stage}", {a: !Ref AWS::AccountId}]', "111122223333-dev"),
        ('!Join ["-", [a, !Ref Stage, 3]]', "a-dev-3"),
        ('!Join [":", !Ref Sizes]', "1:2:3"),
        ("!Select [1, !Ref Sizes]", "2"),
        ('!Select ["0", !Split ["/", a/b]]', "a"),
        ("!FindInMap [Zones, !Ref AWS::Region, name]", "west"),
        ("!If [Dev, yes-it-is, no-it-is-not]", "yes-it-is"),
        ("!If [NotDev, 1, 2]", 2),
        ("!If [Both, 1, 2]", 2),
        ("!If [Either, 1, 2]", 1),
        ("!Base64 abc", "YWJj"),
        ("!ToJsonString {a: [1]}", '{"a":[1]}'),
        ("{a: !Ref AWS::NoValue, b: 1}", {"b": 1}),
        ("[!Ref AWS::NoValue, 1]", [1]),
        ("2010-09-09", "2010-09-09"),
    ],
)
def test_what_can_be_worked_out_is(written: str, expected: object, resolver: Resolver) -> None:
    assert resolver.resolve(value(written)) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("!Ref Open", Unknown("Open", "parameter Open (--parameter Open=...)")),
        ("!Ref Secret", Unknown("Secret", "parameter Secret (--parameter Secret=...)")),
        ("!Ref Path", Unknown("Path", "parameter Path (--parameter Path=...)")),
        ("!Ref Nothing", Unknown("Nothing", "!Ref Nothing")),
        ("!GetAtt Stream.Other", Unknown("Stream", "!GetAtt Stream.Other")),
        ("!GetAtt Stream", Unknown("unknown", "!GetAtt")),
        ("!ImportValue shared:queue", Unknown("shared-queue", "!ImportValue shared:queue")),
        ('!Sub "a-${Open}"', Unknown("a-Open", "parameter Open (--parameter Open=...)")),
        ('!Join ["-", [a, !Ref Nothing]]', Unknown("a-Nothing", "!Ref Nothing")),
        ("!Select [9, !Ref Sizes]", Unknown("unknown", "!Select")),
        ("!FindInMap [Zones, nowhere, name]", Unknown("unknown", "!FindInMap")),
        ("!If [Perhaps, 1, 2]", Unknown("unknown", "!If Perhaps")),
        ("!If [Round, 1, 2]", Unknown("unknown", "!If Round")),
        ("!GetAZs eu-west-1", Unknown("unknown", "!GetAZs")),
        ("!Transform {Name: x}", Unknown("unknown", "!Transform")),
    ],
)
def test_what_only_a_deployment_knows_stays_unknown_with_a_guess(written: str, expected: Unknown, resolver: Resolver) -> None:
    assert resolver.resolve(value(written)) == expected


def test_made_up_names_are_remembered(resolver: Resolver) -> None:
    resolver.resolve(value("!GetAtt Queue.Arn"))
    assert resolver.assumed == set()
    resolver.resolve(value("!GetAtt Fifo.Arn"))
    resolver.resolve(value("!GetAtt Named.Arn"))
    assert resolver.assumed == {
        "the name of Fifo (CloudFormation chooses one)",
        "the name of Named (parameter Open (--parameter Open=...))",
    }


def test_a_resource_that_is_named_after_itself_ends(resolver: Resolver) -> None:
    assert resolver.resolve(value("!GetAtt Self.Arn")) == "arn:aws:sqs:eu-west-1:111122223333:Self"


def test_other_partitions_have_their_own_names() -> None:
    resolver = Resolver(parse(TEMPLATE, "t"), Surroundings(region="cn-north-1", account="111122223333"))
    assert resolver.resolve(value("!GetAtt Stream.Arn")) == "arn:aws-cn:kinesis:cn-north-1:111122223333:stream/s"
    assert resolver.resolve(value("!Ref AWS::URLSuffix")) == "amazonaws.com.cn"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("BatchSize", "batch_size"),
        ("MaximumBatchingWindowInSeconds", "maximum_batching_window_in_seconds"),
        ("KMSKeyArn", "kms_key_arn"),
        ("DocumentDBEventSourceConfig", "document_db_event_source_config"),
        ("UUID", "uuid"),
    ],
)
def test_lambdas_names_in_our_spelling(theirs: str, ours: str) -> None:
    assert snake(theirs) == ours


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("app.handler", "app.handler"),
        ("arn:aws:sqs:eu-west-1:1:q", "arn:aws:sqs:eu-west-1:1:q"),
        ("./src", "./src"),
        ("no", '"no"'),
        ("NULL", '"NULL"'),
        ("5", '"5"'),
        ("", '""'),
        ("a: b", '"a: b"'),
        ("a #b", '"a #b"'),
        ('{"a": 1}', """'{"a": 1}'"""),
        ("""it's "a" """, """'it''s "a" '"""),
        ("${HOME}", '"$${HOME}"'),
        ("a\n\x85", '"a\\n\\u0085"'),
    ],
)
def test_text_is_written_so_that_nobody_takes_it_for_anything_else(text: str, written: str) -> None:
    assert scalar(text) == written
