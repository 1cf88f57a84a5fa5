"""Files as a failure destination: real files, other writers, rotation, and what is left behind by those who died."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gc
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePath
from typing import TYPE_CHECKING

import pytest
from support.build import records
from support.queueing import messages
from support.stage import MAPPING, SHARD

from poller.core.report import FailureReport, MessageReport
from poller.destinations import file as destination
from poller.destinations.file import FileDestination, Rotation
from poller.destinations.journal import append
from poller.errors import MappingError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

rule = pytest.mark.rule

DOCUMENT = {"requestContext": {"requestId": "r1"}, "version": "1.0", "ü": "\u2028\n"}
STREAM = FailureReport(mapping=MAPPING, shard=SHARD, at=0.0, document=DOCUMENT, records=records(1, 2))
MESSAGE = MessageReport(mapping=MAPPING, at=0.0, body="x", attributes={}, records=messages(1), document=DOCUMENT)
LARGE = Rotation(size=10**8, kept=10)


def lines(path: Path) -> list[str]:
    return [line.decode() for line in path.read_bytes().splitlines(keepends=True)]


def to(path: Path, *, payload: bool = False, rotation: Rotation = LARGE) -> FileDestination:
    return FileDestination(path=path, include_payload=payload, rotation=rotation)


@rule("stream.destination.file")
async def test_each_report_is_a_line_behind_the_others(tmp_path: Path) -> None:
    path = tmp_path / "failed.jsonl"
    assert await to(path).send(STREAM) is None
    await to(path, payload=True).send(STREAM)
    first, second = path.read_bytes().splitlines()
    assert json.loads(first) == DOCUMENT
    told = json.loads(second)
    assert [each["n"] for each in json.loads(told.pop("payload"))["Records"]] == [1, 2]
    assert told == DOCUMENT
    assert to(path).kind == "file"


@rule("queue.destination.document")
async def test_a_message_of_a_queue_is_never_without_its_payload(tmp_path: Path) -> None:
    await to(tmp_path / "failed").send(MESSAGE)
    (told,) = map(json.loads, lines(tmp_path / "failed"))
    assert len(json.loads(told["payload"])["Records"]) == 1


async def test_nobody_but_its_group_may_read_a_new_file(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        await to(tmp_path / "failed").send(STREAM)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "failed").stat().st_mode) == 0o640


# -------------------------------------------------------------------------------------------------------------------- rotation


def test_a_file_that_would_grow_too_large_is_put_aside_and_the_oldest_goes(tmp_path: Path) -> None:
    path = tmp_path / "failed.jsonl"
    for number in range(9):
        append(path, b"line %d" % number, Rotation(size=14, kept=2))
    found = {each.name: each.read_text() for each in tmp_path.iterdir()}
    assert found == {
        "failed.jsonl": "line 8\n",
        "failed.jsonl.1": "line 6\nline 7\n",
        "failed.jsonl.2": "line 4\nline 5\n",
    }


def test_a_line_that_is_larger_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    for text in (b"a", b"b" * 100, b"c"):
        append(tmp_path / "f", text, Rotation(size=10, kept=5))
    assert [lines(tmp_path / name) for name in ("f.2", "f.1", "f")] == [["a\n"], ["b" * 100 + "\n"], ["c\n"]]


def test_a_link_is_followed_and_stays_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "f")
    for text in (b"a" * 10, b"b"):
        append(tmp_path / "link", text, Rotation(size=10, kept=5))
    assert sorted(each.name for each in (tmp_path / "there").iterdir()) == ["f", "f.1"]
    assert lines(tmp_path / "link") == ["b\n"]


def keep_on(path: Path, line: bytes, rotation: Rotation) -> None:
    while True:
        try:
            return append(path, line, rotation)
        except BlockingIOError:
            os.sched_yield()


WRITER = """
import sys
from pathlib import Path
from poller.destinations.journal import Rotation, append
path, name, count, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), 0
while number < count:
    try:
        append(path, f"{name} {number} ".encode() + b"x" * (number % 50), Rotation(size=2000, kept=1000))
    except BlockingIOError:
        continue
    number += 1
    print(end=".", flush=True)
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def of_all(folder: Path) -> list[str]:
    """Every line, the oldest first."""
    files = sorted(folder.iterdir(), key=lambda each: -int(each.suffix[1:]) if each.suffix[1:].isdigit() else 0)
    return [line for each in files for line in lines(each)]


@rule("stream.destination.file")
def test_several_processes_and_threads_write_whole_lines_through_rotations_and_lose_none(tmp_path: Path) -> None:
    path, count = tmp_path / "failed", 150
    others = [writer(path, name, count) for name in "ab"]
    with ThreadPoolExecutor(2) as threads:
        for number in range(count):
            for name in "cd":
                threads.submit(keep_on, path, f"{name} {number} ".encode(), Rotation(size=2000, kept=1000))
    assert [len(each.communicate(timeout=60)[0]) for each in others] == [count, count]
    written = of_all(tmp_path)
    assert len(written) == 4 * count
    assert len(list(tmp_path.iterdir())) > 5
    for name in "ab":  # each in its own order
        assert [int(line.split()[1]) for line in written if line.startswith(name)] == list(range(count))
    assert {line.split()[0] for line in written} == set("abcd")


# ---------------------------------------------------------------------------------------------------------------------- deaths


@rule("stream.destination.file")
def test_a_line_that_a_crash_has_torn_stays_alone(tmp_path: Path) -> None:
    path = tmp_path / "failed"
    path.write_text('{"a": 1}\n{"b"')
    append(path, b'{"c": 3}', LARGE)
    assert lines(path) == ['{"a": 1}\n', '{"b"\n', '{"c": 3}\n']


@pytest.mark.slow
def test_who_is_killed_in_the_middle_of_its_writing_leaves_whole_lines_and_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "failed"
    for round_ in range(5):
        with writer(path, "a", 10**6) as victim:
            assert victim.stdout is not None
            assert victim.stdout.read(50 + 7 * round_)  # it is at work
            victim.send_signal(signal.SIGKILL)
        append(path, b"me", Rotation(size=2000, kept=1000))
    written = of_all(tmp_path)
    assert written.count("me\n") == 5
    assert len(written) >= 5 * 50
    assert len([line for line in written if line != "me\n" and not re.fullmatch(r"a \d+ x*\n", line)]) <= 5  # torn


# ------------------------------------------------------------------------------------------------------------------- troubles


async def trouble(path: Path) -> str:
    with pytest.raises(MappingError) as caught:
        await to(path).send(STREAM)
    return str(caught.value)


@rule("stream.destination.file")
async def test_a_folder_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "failed"
    assert await trouble(path) == f"append: {path}: No such file or directory; create its folder"
    path.parent.mkdir()
    await to(path).send(STREAM)
    assert len(lines(path)) == 1


async def test_what_is_no_file_is_not_written_to(tmp_path: Path) -> None:
    assert (await trouble(tmp_path)).endswith("Is a directory; name a file, not a folder")
    os.mkfifo(tmp_path / "pipe")
    assert (await trouble(tmp_path / "pipe")).endswith("not a regular file; name a regular file")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert (await trouble(tmp_path / "loop")).endswith("Too many levels of symbolic links; mend its symbolic links")
    assert "name a file with a shorter name" in await trouble(tmp_path / ("x" * 300))


async def test_what_stands_in_the_way_of_a_rotation_is_named(tmp_path: Path) -> None:
    path = tmp_path / "failed"
    path.write_text("x" * 100 + "\n")
    (tmp_path / "failed.1").mkdir()
    with pytest.raises(MappingError) as caught:
        await to(path, rotation=Rotation(size=100, kept=1)).send(STREAM)
    assert str(caught.value) == f"append: {path}.1: Is a directory; name a file, not a folder"


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A disk that takes half of the first line."""
    room, write = [10], os.write

    def limited(file: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = write(file, data[: room[0]])
        room[0] -= taken
        return taken

    monkeypatch.setattr(os, "write", limited)
    yield room
    monkeypatch.undo()


@rule("stream.destination.file")
async def test_a_full_disk_is_to_be_tried_again_and_leaves_no_half_a_line(tmp_path: Path, full: list[int]) -> None:
    path = tmp_path / "failed"
    with pytest.raises(Unavailable, match="No space left on device") as caught:
        await to(path).send(STREAM)
    assert caught.value.kind == "server"
    assert path.read_bytes() == b""
    full[0] = 10**6
    await to(path).send(STREAM)
    assert len(lines(path)) == 1


async def test_one_who_stands_still_with_the_file_locked_holds_up_nobody_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destination, "PATIENCE", 0.05)
    with (tmp_path / "failed").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match="somebody has the file locked"):
            await to(tmp_path / "failed").send(STREAM)
    await to(tmp_path / "failed").send(STREAM)


async def test_reports_of_one_mapping_take_turns(tmp_path: Path) -> None:
    shared = to(tmp_path / "failed")
    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(shared.send(STREAM))
    assert len(lines(tmp_path / "failed")) == 20


async def test_a_disk_that_does_not_answer_is_told_of_and_takes_one_line_when_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, sync = threading.Event(), os.fsync
    monkeypatch.setattr(destination, "PATIENCE", 0.05)
    monkeypatch.setattr(os, "fsync", lambda file: (answers.wait(), sync(file)))
    shared = to(tmp_path / "failed")
    for _ in range(3):
        with pytest.raises(Unavailable, match="the disk does not answer") as caught:
            await shared.send(STREAM)
        assert caught.value.kind == "timeout"
    answers.set()
    monkeypatch.setattr(destination, "PATIENCE", 10)
    await shared.send(STREAM)
    assert len(lines(tmp_path / "failed")) == 2  # the one that was on its way, and the last


async def test_what_comes_to_nothing_after_all_is_no_news_where_nobody_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, found = threading.Event(), list[str]()

    def broken(_: int) -> None:
        answers.wait()
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context["message"]))
    monkeypatch.setattr(destination, "PATIENCE", 0.05)
    monkeypatch.setattr(os, "fsync", broken)
    shared = to(tmp_path / "failed")
    with pytest.raises(Unavailable, match="the disk does not answer"):
        await shared.send(STREAM)
    answers.set()
    with pytest.raises(Unavailable, match="Input/output error"):
        await shared.send(STREAM)
    gc.collect()
    assert found == []


async def test_a_folder_that_cannot_be_synced_takes_no_line_that_would_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def broken(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(file)

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(Unavailable, match="Input/output error"):
        await to(tmp_path / "failed").send(STREAM)
    monkeypatch.setattr(os, "fsync", sync)
    await to(tmp_path / "failed").send(STREAM)
    assert len(lines(tmp_path / "failed")) == 1


@pytest.mark.parametrize(("call", "number"), [("open", errno.EACCES), ("fsync", errno.EINVAL)], ids=["unreadable", "unable"])
async def test_a_folder_that_cannot_be_synced_at_all_need_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    real = getattr(os, call)

    def refusing(what: Path | int, *rest: int) -> int:
        if what == tmp_path if isinstance(what, PurePath) else stat.S_ISDIR(os.fstat(what).st_mode):
            refused.append(what)
            raise OSError(number, os.strerror(number))
        done: int = real(what, *rest)
        return done

    refused: list[object] = []
    monkeypatch.setattr(os, call, refusing)
    await to(tmp_path / "failed").send(STREAM)
    monkeypatch.undo()
    assert len(refused) == len(lines(tmp_path / "failed")) == 1
