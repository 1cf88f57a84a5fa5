from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poller.cli import main

ROOT = Path(__file__).parents[2]

HANDLERS = """
import asyncio, os, sys, time

def echo(event, context):
    print("said:", context.invoked_function_arn)
    return {"event": event, "variable": os.environ.get("VARIABLE")}

def fails(event, context):
    raise ValueError("no order")

def sleeps(event, context):
    print("asleep", flush=True)
    time.sleep(60)

def dies(event, context):
    os._exit(7)

def floods(event, context):
    for number in range(1000):
        print("line", number)

async def waits(event, context):
    print("waits", end="")
    await asyncio.sleep(60)
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Each handler as a function of its name; `inline-NAME` for those that run inside of poller."""
    (tmp_path / "invoked_handlers.py").write_text(HANDLERS)
    process = {"executor": "process", "runtime": "python", "timeout": 1, "environment": {"VARIABLE": "v"}}
    functions: dict[str, Any] = {
        name: process | {"handler": f"invoked_handlers.{name}"} for name in ("echo", "fails", "sleeps", "dies", "floods")
    }
    functions |= {
        f"inline-{name}": {"executor": "inline", "handler": f"invoked_handlers.{name}", "timeout": 0.2}
        for name in ("echo", "fails", "waits")
    }
    mapping = {"name": "m", "function_name": "echo", "event_source_arn": "arn:aws:sqs:eu-west-3:111122223333:orders"}
    path = tmp_path / "poller.yaml"
    path.write_text(json.dumps({"functions": functions, "event_source_mappings": [mapping]}))
    return path


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inline handlers stay imported, and their folder on the path."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "invoked_handlers", raising=False)


def test_without_a_file_the_answer_is_all_of_stdout(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["invoke", "echo", "-c", str(config), "--payload", '{"id": 17}']) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"event": {"id": 17}, "variable": "v"}
    log, _, status = err.partition("{")
    assert json.loads("{" + status) == {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
    start, said, end, report = log.splitlines()
    request_id = start.split()[2]
    assert start == f"START RequestId: {request_id} Version: $LATEST"
    assert said == "said: arn:aws:lambda:eu-west-3:111122223333:function:echo"
    assert end == f"END RequestId: {request_id}"
    assert re.fullmatch(
        rf"REPORT RequestId: {request_id}\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\t"
        r"Max Memory Used: \d+ MB\tInit Duration: [\d.]+ ms",
        report,
    )


@pytest.mark.parametrize("place", ["behind the options", "before them"])
def test_with_a_file_the_answer_is_in_it_and_the_status_on_stdout(
    place: str, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "output.txt"
    options = ["-c", str(config), "--log-type", "Tail"]
    assert main(["invoke", "echo", *((*options, str(output)) if place == "behind the options" else (str(output), *options))]) == 0
    out, err = capsys.readouterr()
    assert json.loads(output.read_bytes()) == {"event": {}, "variable": "v"}
    status = json.loads(out)
    assert list(status) == ["StatusCode", "LogResult", "ExecutedVersion"]
    assert b64decode(status["LogResult"]).decode() == err


def test_the_log_in_the_status_is_its_last_4_kb(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["invoke", "floods", "-c", str(config), "--log-type", "Tail", str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    tail = b64decode(json.loads(out)["LogResult"]).decode()
    assert len(tail) == 4096
    assert err.endswith(tail)
    assert "line 0\n" in err
    assert tail.splitlines()[-1].startswith("REPORT ")


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("fails", ("ValueError", "no order")),
        ("inline-fails", ("ValueError", "no order")),
        ("sleeps", ("Sandbox.Timedout", "Task timed out after 1.00 seconds")),
        ("inline-waits", ("Sandbox.Timedout", "Task timed out after 0.20 seconds")),
        ("dies", ("Runtime.ExitError", "Runtime exited with error: exit status 7")),
    ],
)
def test_a_function_that_fails_exits_1_with_lambdas_error_object(
    function: str, expected: tuple[str, str], config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["invoke", function, "-c", str(config), str(tmp_path / "out")]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "StatusCode": 200,
        "FunctionError": "Unhandled",
        "ExecutedVersion": "$LATEST",
    }
    error = json.loads((tmp_path / "out").read_bytes())
    assert error["errorType"] == expected[0]
    assert error["errorMessage"].endswith(expected[1])


def test_what_an_inline_handler_prints_is_not_its_answer(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["invoke", "inline-echo", "-c", str(config), "--payload", "[1]"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["event"] == [1]
    assert "said: arn:aws:lambda:us-east-1:000000000000:function:inline-echo\n" in err


def test_a_line_that_has_no_end_is_part_of_the_log(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["invoke", "inline-waits", "-c", str(config), str(tmp_path / "out")]) == 1
    assert "\nwaits\nEND " in capsys.readouterr().err


@pytest.mark.parametrize("how", ["file://", "fileb://", "-e", "stdin", "-e stdin"])
def test_the_event_may_come_from_a_file_or_from_stdin(
    how: str, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "event.json"
    file.write_text('{"from": "file"}')
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b'{"from": "stdin"}')))
    given = {"-e": ["-e", str(file)], "stdin": ["--payload", "-"], "-e stdin": ["--event", "-"]}
    assert main(["invoke", "echo", "-c", str(config), *given.get(how, ["--payload", f"{how}{file}"])]) == 0
    assert json.loads(capsys.readouterr().out)["event"] == {"from": "stdin" if "stdin" in how else "file"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["ecko"], "no function 'ecko' in the configuration, did you mean 'echo'?"),
        (["xyz"], "there are: dies, echo, fails, floods, inline-echo"),
        (["echo", "--payload", "{'id': 17}"], "the payload is not JSON: Expecting property name"),
        (["echo", "--payload", '{"id": NaN}'], "NaN is no JSON number"),
        (["echo", "--payload", " "], "the payload is not JSON: it is empty"),
        (["echo", "--payload", "[" * 100_000], "the payload is nested too deeply"),
        (["echo", "-e", "/no/such/file"], "/no/such/file: No such file or directory"),
        (["echo", "/no/such/folder/out"], "/no/such/folder/out: No such file or directory"),
    ],
)
def test_nothing_is_invoked_where_the_command_line_is_wrong(
    arguments: list[str], expected: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["invoke", *arguments, "-c", str(config)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert "START" not in err


def test_an_event_that_is_too_large_is_not_invoked(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "event.json"
    file.write_text('"' + "x" * (6 * 1024 * 1024) + '"')
    assert main(["invoke", "echo", "-c", str(config), "-e", str(file)]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "the event has 6,291,458 bytes, a function takes 6,291,456" in err


def test_a_handler_that_is_not_there_is_a_function_error_of_a_worker_and_a_wrong_configuration_inline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "poller.yaml"
    worker = {"executor": "process", "runtime": "python", "handler": "nowhere.handler"}
    inline = {"executor": "inline", "handler": "nowhere.handler"}
    path.write_text(json.dumps({"functions": {"worker": worker, "inline": inline}, "event_source_mappings": []}))
    assert main(["invoke", "worker", "-c", str(path)]) == 1
    assert json.loads(capsys.readouterr().out)["errorType"] == "Runtime.ImportModuleError"
    assert main(["invoke", "inline", "-c", str(path)]) == 78
    assert "Runtime.ImportModuleError" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_function_first(number: signal.Signals, config: Path, tmp_path: Path) -> None:
    text = config.read_text().replace('"timeout": 1', '"timeout": 50')
    config.write_text(text)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "poller", "invoke", "sleeps", "-c", str(config)],
        env={"PATH": os.environ["PATH"], "TMPDIR": str(temporary)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line == "asleep\n":
            break
    [worker] = children(process.pid)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (128 + number, "")
    assert "Traceback" not in err
    assert not Path(f"/proc/{worker}").exists()
    assert list(temporary.iterdir()) == []


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
