"""What `poller check` makes of answers, of functions, and of stores that need no server; how it shows it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from poller.apis.client import AwsClients
from poller.check.asking import Service, explained
from poller.check.finding import Finding, Subject, table
from poller.check.queues import Redrive, judge_queue, judge_redrive
from poller.check.store import judge_server
from poller.check.streams import judge_stream
from poller.cli import main
from poller.config import Connection, QueueMappingConfig, StreamMappingConfig
from poller.errors import ConfigError, SourceGone, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
ABOUT = Subject("mapping m")
NOW = 1_800_000_000.0
HOUR = 3600.0
STREAM, QUEUE = "arn:aws:kinesis:eu-west-1:111122223333:stream/s", "arn:aws:sqs:eu-west-1:111122223333:q"


def shown(found: Any) -> list[str]:
    return [f"{each.level}: {each.text}" for each in found]


def of_stream(summary: dict[str, Any], **change: object) -> list[str]:
    given = {"name": "m", "event_source_arn": STREAM, "function_name": "f", "starting_position": "LATEST"} | change
    summary = {"StreamName": "s", "StreamStatus": "ACTIVE", "RetentionPeriodHours": 24} | summary
    return shown(judge_stream(StreamMappingConfig.model_validate(given), summary, ABOUT, NOW))


def test_a_stream_that_is_active_is_fine() -> None:
    assert of_stream({"OpenShardCount": 4}) == ["ok: stream s: ACTIVE, 4 open shards, keeps records for 24 h"]
    assert of_stream({"StreamStatus": "UPDATING"}) == ["ok: stream s: UPDATING, keeps records for 24 h"]


@pytest.mark.parametrize(
    ("summary", "change", "expected"),
    [
        ({"StreamStatus": "CREATING"}, {}, "warning: stream s is being created"),
        ({"StreamStatus": "DELETING"}, {}, "failed: stream s: DELETING"),
        (
            {},
            {"maximum_record_age_in_seconds": 100_000},
            "warning: maximum_record_age_in_seconds 100000 is longer than the stream keeps records (86400 s)",
        ),
        (
            {},
            {"starting_position": "AT_TIMESTAMP", "starting_position_timestamp": NOW - 25 * HOUR},
            "warning: starting_position_timestamp is before all that the stream keeps",
        ),
        (
            {"EncryptionType": "KMS", "KeyId": "alias/mine"},
            {},
            "ok: stream s is encrypted with alias/mine: reading also needs kms:Decrypt on it, which is not tried",
        ),
    ],
)
def test_what_is_to_be_said_of_a_stream(summary: dict[str, Any], change: dict[str, Any], expected: str) -> None:
    assert expected in of_stream(summary, **change)


def test_what_fits_is_not_mentioned() -> None:
    start = {"starting_position": "AT_TIMESTAMP", "starting_position_timestamp": NOW - 23 * HOUR}
    assert len(of_stream({"EncryptionType": "NONE"}, maximum_record_age_in_seconds=86_400, **start)) == 1


def mapping(**change: object) -> QueueMappingConfig:
    return QueueMappingConfig.model_validate({"name": "m", "event_source_arn": QUEUE, "function_name": "f"} | change)


def of_queue(timeout: float, visibility: int, attributes: dict[str, str] | None = None, **change: object) -> list[str]:
    given = {"VisibilityTimeout": str(visibility), "MessageRetentionPeriod": "345600"} | (attributes or {})
    return shown(judge_queue(mapping(**change), given, ABOUT, timeout))


def test_a_queues_time_out_must_be_long_enough_for_function_and_window() -> None:
    fine = ["ok: queue q: standard, visibility time-out 30 s, keeps messages for 4 d, 7 waiting"]
    assert of_queue(30, 30, {"ApproximateNumberOfMessages": "7"}) == fine
    assert of_queue(30.5, 30)[1].startswith(
        "warning: visibility time-out 30 s is shorter than the function's time-out 30.5 s: only"
    )
    windowed: dict[str, Any] = {"batch_size": 100, "maximum_batching_window_in_seconds": 10}
    assert len(of_queue(20, 30, **windowed)) == 1
    assert of_queue(21, 30, **windowed)[1] == (
        "ok: visibility time-out 30 s is shorter than batching window + function time-out:"
        " messages are hidden for 61 s instead (window + time-out + 30 s)"
    )
    assert of_queue(31, 30, **windowed)[1].startswith("warning: visibility time-out 30 s")


def test_an_encrypted_queue_says_what_else_is_needed() -> None:
    assert "kms:Decrypt" in of_queue(3, 30, {"KmsMasterKeyId": "alias/mine"})[1]


@pytest.mark.parametrize(
    ("redrive", "change", "expected"),
    [
        (None, {}, "warning: no redrive policy and no maximum_receive_count"),
        (None, {"maximum_receive_count": 5}, "ok: gives a message up after 5 deliveries"),
        (Redrive(3, f"{QUEUE}-dead"), {}, "ok: redrive policy: after 3 deliveries to q-dead"),
        (Redrive(1, f"{QUEUE}-dead"), {}, "warning: maxReceiveCount is 1"),
        (Redrive(3, f"{QUEUE}-dead"), {"maximum_receive_count": 5}, "warning: the queue's redrive policy (3 deliveries) wins"),
    ],
)
def test_who_gives_a_message_up(redrive: Redrive | None, change: dict[str, Any], expected: str) -> None:
    [line] = shown(judge_redrive(mapping(**change), redrive, ABOUT))
    assert line.startswith(expected)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"aof_enabled": 1, "role": "master"}, ["ok: the server keeps an append-only file"]),
        ({"role": "slave"}, ["failed: the server is a replica: it takes no writes"]),
        ({"maxmemory": 0, "maxmemory_policy": "allkeys-lru"}, []),
        (
            {"maxmemory": 1, "maxmemory_policy": "allkeys-lru"},
            ["warning: maxmemory-policy allkeys-lru: a server that runs full may forget a mapping"],
        ),
    ],
)
def test_what_is_to_be_said_of_a_redis_server(facts: dict[str, object], expected: list[str]) -> None:
    assert shown(judge_server(facts, ABOUT)) == expected


@pytest.mark.parametrize(
    ("error", "text", "remedy"),
    [
        (SourceGone("x"), "queue q does not exist (region eu-west-1, profile p)", "create it"),
        (
            Unavailable("GetQueueUrl", "auth", f"{QUEUE}: AccessDenied"),
            "queue q: GetQueueUrl: AccessDenied",
            "check which credentials poller has, and that they allow sqs:GetQueueUrl",
        ),
        (
            Unavailable("DescribeStreamSummary", "auth", f"{QUEUE}: NoCredentialsError: Unable to locate credentials"),
            "queue q: DescribeStreamSummary: NoCredentialsError: Unable to locate credentials",
            "give poller AWS credentials",
        ),
        (Unavailable("GetQueueUrl", "connection", f"{QUEUE}: refused"), "queue q: GetQueueUrl: refused", "check the network"),
        (Unavailable("GetQueueUrl", "throttled"), "queue q: GetQueueUrl: throttled", "try again later"),
        (ConfigError("no region"), "queue q: no region", "correct the configuration"),
    ],
)
def test_a_question_that_is_not_answered_has_a_remedy(error: Exception, text: str, remedy: str) -> None:
    connection = Connection(region="eu-west-1", endpoint_url=None, profile="p")
    service = Service(clients=AwsClients(), name="sqs", connection=connection, patience=1)
    finding = explained(error, ABOUT, service, "queue q")
    assert (finding.level, finding.text) == ("failed", text)
    assert finding.remedy.startswith(remedy)


# ------------------------------------------------------------------------------------------------------------- as a command


def configured(folder: Path, functions: dict[str, Any] | None = None, store: str = "sqlite:///poller.db") -> str:
    path = folder / "poller.yaml"
    path.write_text(json.dumps({"functions": functions or {}, "event_source_mappings": [], "store": {"url": store}}))
    return str(path)


def checked(capsys: pytest.CaptureFixture[str], path: str, *options: str) -> tuple[int, list[str]]:
    code = main(["check", path, "--format", "json", *options])
    answer = json.loads(capsys.readouterr().out)
    findings = answer.pop("findings")
    assert answer == {level: sum(each["level"] == level for each in findings) for level in ("ok", "warning", "failed")}
    assert all(each["remedy"] for each in findings if each["level"] != "ok")
    return code, [f"{each['level']} {each['subject']}: {each['text']}" for each in findings]


def test_a_store_that_is_not_there_yet_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = configured(tmp_path)
    assert checked(capsys, path) == (0, [f"ok store: {tmp_path}/poller.db: will be made; its directory can be written"])
    assert [each.name for each in tmp_path.iterdir()] == ["poller.yaml"]


def test_a_store_without_a_directory_and_one_of_another_application_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(capsys, configured(tmp_path, store="sqlite:///no/poller.db")) == (
        1,
        [f"failed store: {tmp_path}/no/poller.db: there is no directory {tmp_path}/no"],
    )
    with sqlite3.connect(tmp_path / "poller.db") as foreign:
        foreign.execute("CREATE TABLE theirs (a)")
    foreign.close()
    before = (tmp_path / "poller.db").read_bytes()
    code, [line] = checked(capsys, configured(tmp_path))
    assert code == 1
    assert "belongs to another application" in line
    assert (tmp_path / "poller.db").read_bytes() == before


def test_a_store_that_forgets_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, [line] = checked(capsys, configured(tmp_path, store="memory://"))
    assert (code, line) == (0, "warning store: memory:// forgets all checkpoints at exit")


def test_handlers_are_loaded_and_not_called(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "checked_fine.py").write_text("print('noise')\ndef handler(event, context):\n    raise SystemExit(9)\n")
    (tmp_path / "checked_ends.py").write_text("import os\nos._exit(3)\n")
    process = {"executor": "process", "runtime": "python"}
    functions = {
        "fine": process | {"handler": "checked_fine.handler"},
        "absent": process | {"handler": "checked_fine.other"},
        "ends": process | {"handler": "checked_ends.handler"},
        "nowhere": process | {"handler": "checked_fine.handler", "code": "nowhere"},
        "within": {"executor": "inline", "handler": "checked_fine.handler"},
        "lost": {"executor": "inline", "handler": "checked_lost.handler"},
        "deadly": {"executor": "inline", "handler": "checked_ends.handler"},
        "after": {"executor": "inline", "handler": "checked_fine.handler"},
    }
    code, (_, fine, absent, ends, nowhere, within, lost, deadly, after) = checked(capsys, configured(tmp_path, functions))
    assert code == 1
    assert fine.startswith("ok function fine: a worker loads checked_fine.handler in ")
    assert absent == (
        "failed function absent: checked_fine.other: Runtime.HandlerNotFound: Handler 'other' missing on module 'checked_fine'"
    )
    assert "failed function ends" in ends
    assert "exit status 3" in ends
    assert nowhere.endswith(f"Runtime.InvalidEntrypoint: No such file or directory: {tmp_path}/nowhere")
    assert within == "ok function within: checked_fine.handler can be imported"
    assert "Unable to import module 'checked_lost'" in lost
    assert [line.split(": ")[-1] for line in (deadly, after)] == ["importing it, or one before it, ended the process"] * 2
    assert "checked_fine" not in sys.modules


def test_an_import_that_never_ends_ends_with_the_time_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "checked_hangs.py").write_text(
        f"open({str(tmp_path / 'pid')!r}, 'a').write(f'{{__import__(\"os\").getpid()}} ')\nwhile True: pass\n"
    )
    process = {"executor": "process", "runtime": "python", "handler": "checked_hangs.handler"}
    inline = {"executor": "inline", "handler": "checked_hangs.handler"}
    code, lines = checked(capsys, configured(tmp_path, {"p": process, "i": inline}), "--timeout", "1.5")
    assert code == 1
    assert lines[1:] == ["failed function p: no answer within 1.5 s", "failed function i: no answer within 1.5 s"]
    pids = (tmp_path / "pid").read_text().split()
    assert len(pids) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind_by_a_check_that_is_ended(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "checked_stays.py").write_text(
        f"open({str(tmp_path / 'pid')!r}, 'a').write(f'{{__import__(\"os\").getpid()}} ')\nwhile True: pass\n"
    )
    process = {"executor": "process", "runtime": "python", "handler": "checked_stays.handler"}
    path = configured(tmp_path, {"p": process, "i": {"executor": "inline", "handler": "checked_stays.handler"}})
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)}
    command = subprocess.Popen([sys.executable, "-m", "poller", "check", path], cwd=ROOT, env=environment, stdout=subprocess.PIPE)
    pids = wait_for(lambda: (tmp_path / "pid").read_text().split() if (tmp_path / "pid").exists() else [], 2)
    command.send_signal(number)
    out, _ = command.communicate(timeout=20)
    assert (command.returncode, out) == (143 if number == signal.SIGTERM else -9, b"")
    wait_for(lambda: [pid for pid in pids if not Path(f"/proc/{pid}").exists()], 2)


def wait_for(look: Callable[[], list[str]], count: int) -> list[str]:
    deadline = time.monotonic() + 20
    while len(found := look()) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def test_a_wrong_configuration_asks_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = configured(tmp_path, {"f": {"executor": "process", "runtime": "python", "handlr": "a.b"}})
    assert main(["check", path]) == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert "handlr" in err


FINDINGS = (
    Finding(level="ok", subject="store", text="answers"),
    Finding(
        level="warning",
        subject="mapping mails",
        text="one two three four five six seven eight nine",
        remedy="do this and then do that",
    ),
    Finding(level="failed", subject="mapping x", text="gone", remedy="create it"),
)


def test_the_table_is_aligned_and_ends_with_numbers() -> None:
    assert list(table(FINDINGS)) == [
        "ok       store          answers",
        "warning  mapping mails  one two three four five six seven eight nine",
        "                        -> do this and then do that",
        "failed   mapping x      gone",
        "                        -> create it",
        "1 ok, 1 warning, 1 failed",
    ]


def test_lines_are_wrapped_for_a_terminal_and_levels_coloured() -> None:
    lines = list(table(FINDINGS, width=64, colours=True))
    assert lines[1:4] == [
        "\x1b[33mwarning  \x1b[0mmapping mails  one two three four five six seven eight",
        "                        nine",
        "                        -> do this and then do that",
    ]
    assert list(table((), width=10)) == ["0 ok, 0 warnings, 0 failed"]
