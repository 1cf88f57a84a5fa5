"""`poller dlq`: the command line, and what is said."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import pytest
from support.dead_letters import Morgue
from support.stage import virtually

from poller.cli import dlq_actions, main
from poller.dlq import shown, work
from poller.dlq.desk import Tally
from poller.dlq.letters import Letter, failure_document
from poller.dlq.wish import Wish
from poller.observe.columns import age
from poller.services import SqsMessage

if TYPE_CHECKING:
    from pathlib import Path

ARN = "arn:aws:sqs:us-east-1:000000000000:dead"
NOWHERE = ("--endpoint-url", "http://127.0.0.1:1")


@pytest.fixture
def config(tmp_path: Path, aws_environment: dict[str, str]) -> str:
    path = tmp_path / "poller.yaml"
    mapping = {"name": "orders", "function_name": "f", "event_source_arn": ARN}
    functions = {"f": {"executor": "process", "runtime": "python", "handler": "app.handler", "code": str(tmp_path)}}
    aws = {"endpoint_url": "http://127.0.0.1:1"}
    path.write_text(json.dumps({"aws": aws, "functions": functions, "event_source_mappings": [mapping]}))
    return str(path)


def test_without_an_action_it_says_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dlq"]) == 2
    assert "redrive" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["list", "show", "redrive", "purge"])
def test_the_help_of_an_action_names_its_options(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["dlq", action, "--help"])
    assert caught.value.code == 0
    shown_ = capsys.readouterr().out
    assert "--config FILE" in shown_
    assert ("\n  --yes " in shown_) is (action in {"redrive", "purge"})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "orders"], "give its configuration: -c FILE"),
        (["list", "order", "-c", "CONFIG"], "no mapping 'order' in the configuration, did you mean 'orders'?"),
        (["list", "arn:aws:kinesis:us-east-1:000000000000:stream/s"], "is not the ARN of a queue"),
        (["list", ARN, "--filter", '{"body": "x"}'], "--filter: "),
        (["list", ARN, "--filter", "nonsense"], "--filter: "),
        (["redrive", ARN, "--to", "orders"], "--to is source, function, or the ARN of a queue, not 'orders'"),
    ],
)
def test_a_wrong_command_line_is_refused(
    arguments: list[str], said: str, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dlq", *[config if word == "CONFIG" else word for word in arguments]]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.startswith("poller dlq: error: ")


@pytest.mark.parametrize("option", [("--rate", "0"), ("--rate", "x"), ("--limit", "-1"), ("--to",)])
def test_options_that_mean_nothing_are_refused_by_the_parser(option: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["dlq", "redrive", ARN, *option])
    assert caught.value.code == 2
    assert option[0] in capsys.readouterr().err


def test_a_queue_that_nobody_redrives_cannot_be_fed_to_a_function(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dlq", "redrive", ARN, "--to", "function", "-c", config]) == 3
    assert "name the mapping, with -c FILE" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "agreed"), [("yes\n", True), ("YES \n", True), ("y\n", False), ("\n", False), ("", False)])
def test_on_a_terminal_it_asks_and_only_yes_is_yes(typed: str, *, agreed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert dlq_actions._agreed(said.append) is agreed
    assert said == ["Do it? Type yes: "]
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    assert not dlq_actions._agreed(said.append)
    assert "add --yes" in said[-1]


# ------------------------------------------------------------------------------------------------------------------ what is said


def letter(body: str, **system: str) -> Letter:
    attributes = {"SentTimestamp": "1700000000000", "ApproximateFirstReceiveTimestamp": "1700000001000"} | system
    return Letter(SqsMessage(MessageId="m1", ReceiptHandle="r", Body=body, MD5OfBody="d", Attributes=attributes))


def test_a_table_shows_bodies_only_where_they_are_asked_for() -> None:
    given = [letter('{"card": "4111"}', MessageGroupId="g", ApproximateReceiveCount="7")]
    head, row = shown.table(given, 1_700_000_000 + 90_061, bodies=False, documents=False)
    assert head.split("  ")[0] == "ID"
    assert row.split("  ")[:3] == ["m1", "2023-11-14T22:13:20.000Z", "1 d 1 h"]
    assert "4111" not in row
    assert "4111" in list(shown.table(given, 0, bodies=True, documents=False))[1]
    assert "4111" not in json.dumps(shown.as_json(given[0], 0, body=False, documents=False))


def test_what_a_body_says_cannot_move_the_cursor() -> None:
    given = letter("one\n\x1b[2Jtwo\ttab")
    assert shown.excerpt(given.body) == r"one \x1b[2Jtwo tab"
    assert list(shown.whole(given))[-1] == "one\n\\x1b[2Jtwo\ttab"
    assert shown.excerpt("x" * 100) == "x" * 60 + "..."


@pytest.mark.parametrize(
    ("seconds", "said"), [(-3, "0 s"), (59, "59 s"), (3_600, "1 h 0 min"), (7_199, "1 h 59 min"), (90_000, "1 d 1 h")]
)
def test_ages_are_told_by_their_two_largest_parts(seconds: float, said: str) -> None:
    assert age(seconds) == said


def test_documents_of_streams_are_shown_as_what_they_are() -> None:
    info = {
        "shardId": "shard-6",
        "startSequenceNumber": "49",
        "endSequenceNumber": "51",
        "batchSize": 3,
        "streamArn": "a:stream/s",
    }
    body = json.dumps({"requestContext": {"condition": "RecordAgeExceeded"}, "KinesisBatchInfo": info, "timestamp": "t"})
    _, row = shown.table([letter(body)], 1_700_000_000, bodies=False, documents=True)
    assert row.split()[-5:] == ["RecordAgeExceeded", "shard-6", "49", "3", "no"]
    found = shown.as_json(letter(body), 0, body=False, documents=True)["document"]
    assert isinstance(found, dict)
    assert (found["last_sequence_number"], found["has_payload"]) == ("51", False)
    for other in ("", "7", "[]", '{"requestContext": 1}', '{"requestContext": {}, "KinesisBatchInfo": 1}'):
        assert failure_document(other) is None


def test_a_result_names_what_is_in_both_queues_and_why_others_stayed() -> None:
    tally = Tally(done=1234, unwanted=1, doubtful=10, twice={"m7"})
    tally.left["came from another queue, x"] += 2
    assert list(shown.result(tally, "redriven to orders")) == [
        "1,234 messages redriven to orders",
        "1 message not wanted by the filter",
        "2 messages stayed: each came from another queue, x",
        "1 message done but still in the dead-letter queue, not deleted: m7",
        "up to 10 may be there twice: sending them got no answer, and was repeated",
    ]


def test_a_pattern_that_no_message_can_satisfy_is_known() -> None:
    assert Wish(pattern='{"status": ["paid"]}').unknown == ("status",)
    assert Wish(pattern='{"body": {"status": ["paid"]}}').unknown == ()


@virtually
async def test_a_plan_names_a_few_messages() -> None:
    morgue = Morgue()
    sent = morgue.send(*map(str, range(20)))
    tally = await work.survey(morgue.desk, Wish(), morgue.route.why_not)
    first, example = shown.plan(tally, "redriven")
    assert first == "20 messages would be redriven"
    assert sum(id_ in example for id_ in sent) == 5
