"""`poller checkpoint` given what is not as it should be: files and numbers; and what `import` tells programs."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.checkpoints import COPY, HOLDER, ONE, ORDERS, STREAM, THREE, TWO, Place, at

from poller.cli import main
from poller.config.event_source import default_uuid
from poller.core.model import ShardState

if TYPE_CHECKING:
    from pathlib import Path

    from poller.edits import EditableStore

Fields = dict[str, Any]


@pytest.fixture
def place(tmp_path: Path, aws_environment: dict[str, str]) -> Place:
    return Place(tmp_path)


def poller(place: Place, *arguments: str) -> int:
    return main(["checkpoint", *arguments, "-c", place.config])


def mapping(**change: object) -> Fields:
    told = {"uuid": ORDERS, "name": "orders", "stream_arn": STREAM.arn, "created_at": STREAM.created_at, "shards": [shard()]}
    return told | change


def shard(**change: object) -> Fields:
    return {"shard": ONE, "position": "150", "start": None, "finished": False} | change


def written(place: Place, *mappings: Fields) -> str:
    path = place.folder / "checkpoints.json"
    path.write_text(json.dumps({"version": 1, "mappings": mappings}))
    return str(path)


def test_a_number_that_looks_cut_off_is_asked_about(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.enrol()
    assert poller(place, "set", "orders", ONE, "10") == 0
    assert f"{ONE}: this number has 2 digits, the one that is there has 3: is it whole?" in capsys.readouterr().err
    assert poller(place, "set", "orders", TWO, "100:3") == 0
    assert "is it whole?" not in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["/no/such/file"], ["{file}", "--dry-run"]], ids=["no file", "dry run"])
def test_no_store_is_made_for_what_brings_nothing_in(
    arguments: list[str], place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(place, mapping())
    poller(place, "import", *(word.format(file=file) for word in arguments))
    assert not (place.folder / "poller.db").exists()
    out, err = capsys.readouterr()
    assert f"{ONE}: nothing -> 150" in out or "No such file" in err


@pytest.mark.parametrize(
    "change",
    [
        {"start": {"type": "AT_TIMESTAMP", "timestamp": "2026"}},
        {"start": {"type": "AT_TIMESTAMP", "timestamp": None}},
        {"start": {"type": "AT_TIMESTAMP", "timestamp": 1e20}},
        {"start": {"type": "AT_TIMESTAMP", "timestamp": -1e13}},
        {"start": {"type": "AT_TIMESTAMP", "timestamp": True}},
        {"start": {"type": "AFTER_SEQUENCE_NUMBER", "timestamp": None}},
        {"position": "5", "extra": {"tip": "yesterday"}},
        {"position": "5", "extra": {"memos": {"0": {"cuts": [[7, 1]]}}}},
        {"position": "5", "extra": {"memos": {"0": {"cuts": [["7", "1"]]}}}},
        {"position": "5", "extra": {"memos": {"0": {"cuts": [["7", 1, 6]]}}}},
        {"position": "5", "extra": {"memos": {"0": {"cuts": [["7", 1, "8"]]}}}},
        {"position": "5", "extra": {"memos": {"0": {"window": {"start": "a", "end": 1, "state": "{}", "early": False}}}}},
        {"position": "5", "extra": {"memos": {"0": {"window": {"start": 0, "end": 1, "state": "no json", "early": False}}}}},
    ],
    ids=str,
)
def test_what_a_daemon_would_fail_on_is_refused(change: Fields, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.enrol()
    file = written(place, mapping(shards=[shard(position=None) | change]))
    assert poller(place, "import", file, "--force") == 2
    assert 'shards[0]: "start" or "extra" is not what' in capsys.readouterr().err
    assert place.run(lambda store: store.shards(ORDERS))[ONE] == ShardState(checkpoint=at(100))


def test_what_lanes_remember_comes_in_as_it_is_also_what_a_newer_poller_adds(place: Place) -> None:
    window = {"start": 60.0, "end": 120.0, "state": '{"sum": 1}', "early": False}
    extra = {"lanes": 2, "memos": {"1": {"cuts": [["7", 1], ["9", 0, "8"]], "window": window}}, "tip": 5.5, "future": {"x": [1]}}
    assert poller(place, "import", written(place, mapping(shards=[shard(extra=extra)]))) == 0
    checkpoint = place.run(lambda store: store.shards(ORDERS))[ONE].checkpoint
    assert checkpoint is not None
    assert json.loads(checkpoint.extra) == extra


def test_a_mapping_that_is_there_twice_is_refused_before_anything_is_written(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(place, mapping(), mapping(shards=[shard(shard=TWO)]))
    assert poller(place, "import", file, "--force") == 2
    assert "it has a mapping twice" in capsys.readouterr().err
    assert place.run(lambda store: store.mappings()) == {}


def test_programs_get_one_document_for_all_mappings_of_a_file(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.enrol()
    place.hold()
    assert poller(place, "import", written(place, mapping(), mapping(uuid=COPY, name="copy")), "-o", "json") == 1
    out, err = capsys.readouterr()
    refused, done = json.loads(out)["mappings"]
    assert (refused["mapping"], refused["done"], refused["changes"]) == ("orders", False, [])
    assert HOLDER in refused["refused"]
    assert refused["refused"] in err
    assert done == {
        "mapping": "copy",
        "uuid": COPY,
        "done": True,
        "refused": None,
        "changes": [{"shard": ONE, "before": "nothing", "after": "150", "fenced": None}],
    }


def test_checkpoints_of_a_stream_whose_name_a_queue_has_now_do_not_hinder_an_export(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    async def job(store: EditableStore) -> None:
        await store.enroll(default_uuid("mails"), STREAM, {THREE: at(3)})

    place.enrol()
    place.run(job)
    assert poller(place, "export") == 0
    found = {each["uuid"]: each["name"] for each in json.loads(capsys.readouterr().out)["mappings"]}
    assert found == {ORDERS: "orders", default_uuid("mails"): None}


def test_waiting_for_a_file_on_stdin_ends_with_ctrl_c(place: Place) -> None:
    command = [sys.executable, "-m", "poller", "checkpoint", "import", "-", "-c", place.config]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"{")
        process.stdin.flush()
        while fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4)) != bytes(4):  # until it reads
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == b""
