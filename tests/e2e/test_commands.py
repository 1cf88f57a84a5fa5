"""Commands as people string them together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A line for bash, in which `poller` is ours; it fails where one of its commands does."""
    program = f'set -o pipefail; poller() {{ "{sys.executable}" -m poller "$@"; }}; {line}'
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-c", program], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("commands", "printed", "failed"),
    [
        (
            ('sqs --body \'{"to": "a@example.com", "subject": "hi"}\' --body \'no mail\'', "mails -c config/queue.yaml"),
            "to a@example.com: hi",
            [1],
        ),
        (("kinesis --data '{\"id\": 17}' --data 'no order'", "orders -c config/poller.yaml"), "orders: 17", [1]),
        (("kinesis --data '{\"id\": 17}'", "orders -c config/inline.yaml"), "orders: 17", []),
    ],
    ids=["sqs", "kinesis", "inline"],
)
def test_a_sample_event_goes_through_a_sample_handler(
    commands: tuple[str, str], printed: str, failed: list[int], tmp_path: Path
) -> None:
    event, invoke = commands
    ended = shell(f"poller event {event} | tee {tmp_path}/event.json | poller invoke {invoke} --payload -", ROOT)
    assert ended.returncode == 0, ended.stderr
    assert f"\n{printed}\n" in ended.stderr
    reported = [each["itemIdentifier"] for each in json.loads(ended.stdout)["batchItemFailures"]]
    records = json.loads((tmp_path / "event.json").read_text())["Records"]
    names = [record.get("messageId") or record["kinesis"]["sequenceNumber"] for record in records]
    assert reported == [names[index] for index in failed]


def test_an_imported_template_can_be_validated_and_asked_for_its_policy(tmp_path: Path) -> None:
    template = ROOT / "tests" / "data" / "templates" / "sam.yaml"
    line = f"poller import {template} -o poller.yaml && poller validate poller.yaml && poller policy poller.yaml"
    ended = shell(line, tmp_path)
    assert ended.returncode == 0, ended.stderr
    first, _, policy = ended.stdout.partition("\n")
    assert first == "poller.yaml: ok, 6 mappings, 4 functions"
    assert [each["Sid"] for each in json.loads(policy)["Statement"]] == [
        "ReadStreams",
        "ReadTables",
        "PollQueues",
        "ReportFailures",
    ]


def test_a_pipe_into_invoke_that_brings_nothing_is_refused() -> None:
    ended = shell("true | poller invoke orders -c config/poller.yaml --payload -", ROOT)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "poller invoke: error: the payload on stdin is not JSON: it is empty\n"
