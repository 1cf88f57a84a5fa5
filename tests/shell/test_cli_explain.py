"""`poller explain`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poller.cli import main

CONFIG = """
functions: {f: {executor: inline, handler: app.handler}}
event_source_mappings:
  - name: mails
    event_source_arn: arn:aws:sqs:eu-west-1:123456789012:mails
    function_name: f
    filter_criteria: {filters: [{pattern: {body: {status: [paid]}}}]}
  - name: all
    event_source_arn: arn:aws:sqs:eu-west-1:123456789012:all
    function_name: f
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "poller.yaml"
    path.write_text(CONFIG)
    return str(path)


@pytest.fixture
def event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["event", "sqs", "--body", '{"status": "paid"}', "--body", '{"status": "open"}']) == 0
    path = tmp_path / "event.json"
    path.write_text(capsys.readouterr().out)
    return str(path)


def test_it_says_of_each_record_which_condition_failed(config: str, event: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "mails", event, "-c", config]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[2] for line in lines if line.startswith("record")] == ["wanted", "filtered out"]
    assert lines[-1] == '    FAIL body.status: wanted ["paid"], found "open"'


def test_it_says_so_in_json(config: str, event: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "mails", event, "-c", config, "-o", "json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert [each["wanted"] for each in said] == [True, False]
    assert said[1]["patterns"][0]["conditions"] == [
        {"field": "body.status", "wanted": ["paid"], "found": ["open"], "holds": False}
    ]


def test_a_mapping_without_a_filter_wants_everything(config: str, event: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "all", event, "-c", config]) == 0
    assert "the mapping has no filter" in capsys.readouterr().out


def test_one_record_will_do(config: str, event: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = json.loads(Path(event).read_text())["Records"][0]
    path = tmp_path / "one.json"
    path.write_text(json.dumps(one))
    assert main(["explain", "mails", str(path), "-c", config]) == 0
    assert capsys.readouterr().out.startswith(f"record {one['messageId']}: wanted")


@pytest.mark.parametrize(
    ("mapping", "text", "said"),
    [
        ("mail", "{}", "no mapping 'mail' in the configuration, did you mean 'mails'?"),
        ("mails", "{", "the event is not JSON"),
        ("mails", "[]", 'an event is {"Records": [...]}, or one record, a JSON object'),
        ("mails", '{"Records": []}', 'an event is {"Records": [...]}, or one record, a JSON object'),
    ],
)
def test_what_is_wrong_is_said(mapping: str, text: str, said: str, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    event = Path(config).with_name("event.json")
    event.write_text(text)
    assert main(["explain", mapping, str(event), "-c", config]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "mails", "none.json", "-c", config]) == 2
    assert capsys.readouterr().err == "poller explain: error: none.json: No such file or directory\n"
