from __future__ import annotations

import fcntl
import os
import struct
import tempfile
import termios
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from functions.room import MakeRoom, Recorder, rooms

from poller.executors.output import Output
from poller.testing.executors import returned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KIBIBYTE = 1024
MEBIBYTE = 1024 * 1024


class Pipe:
    """A function's stdout, written by hand."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        fcntl.fcntl(self.read_end, fcntl.F_SETPIPE_SZ, MEBIBYTE)
        self.events = Recorder()
        self.output = Output(self.read_end, "stdout", self.events)

    def write(self, data: bytes) -> None:
        assert os.write(self._write_end, data) == len(data)

    def read(self) -> None:
        while self.waiting():
            self.output.read()

    def waiting(self) -> int:
        return int(struct.unpack("i", fcntl.ioctl(self.read_end, termios.FIONREAD, b"0000"))[0])

    def close(self) -> None:
        self.output.close()
        os.close(self._write_end)

    @property
    def lines(self) -> list[tuple[str, str | None]]:
        return [(line, request_id) for _, line, request_id in self.events.lines]


@contextmanager
def piped() -> Iterator[Pipe]:
    pipe = Pipe()
    try:
        yield pipe
    finally:
        pipe.close()


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRoom:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return rooms(tmp_path)


async def test_lines_are_reported_as_they_are_complete_and_the_rest_when_the_invocation_ends() -> None:
    with piped() as pipe:
        pipe.output.belongs_to("r")
        pipe.write(b"one\ntwo\r\n\nthr")
        pipe.read()
        assert pipe.lines == [("one", "r"), ("two", "r"), ("", "r")]
        pipe.write(b"ee\nfour \xff")
        pipe.read()
        assert pipe.lines[3:] == [("three", "r")]
        pipe.output.belongs_to(None)
        assert pipe.lines[4:] == [("four \ufffd", "r")]
        pipe.write(b"afterwards\n")
        pipe.read()
        assert pipe.lines[5:] == [("afterwards", None)]


async def test_one_turn_of_the_loop_reads_no_more_than_a_pipe_usually_holds() -> None:
    with piped() as pipe:
        pipe.write(b"x" * MEBIBYTE)
        pipe.output.read()
        assert pipe.waiting() == MEBIBYTE - 64 * KIBIBYTE


async def test_a_long_line_is_cut_and_the_next_one_is_whole() -> None:
    with piped() as pipe:
        pipe.write(b"x" * (256 * KIBIBYTE + 5) + b"\n" + b"y" * 256 * KIBIBYTE + b"\nz\n")
        pipe.read()
        pipe.output.belongs_to(None)
    assert [(line[:1], len(line)) for line, _ in pipe.lines[:3]] == [("x", 256 * KIBIBYTE), ("y", 256 * KIBIBYTE), ("z", 1)]
    assert pipe.lines[3:] == [("(5 bytes of output dropped)", None)]


async def test_every_invocation_has_an_allowance_of_its_own() -> None:
    with piped() as pipe:
        for request_id in ("first", "second"):
            pipe.output.belongs_to(request_id)
            for _ in range(2):
                pipe.write((b"x" * 1023 + b"\n") * 1024)
                pipe.read()
        pipe.output.belongs_to(None)
    reported = [(line, of) for line, of in pipe.lines if "dropped" in line]
    assert reported == [(f"({MEBIBYTE} bytes of output dropped)", "first"), (f"({MEBIBYTE} bytes of output dropped)", "second")]
    assert len(pipe.lines) == 2 * 1024 + 2


@pytest.mark.parametrize("fault", ["floods_stdout", "floods_stdout_without_a_newline"])
async def test_a_flood_of_output_is_capped_and_does_not_block_the_function(room: MakeRoom, fault: str) -> None:
    async with room() as here:
        assert returned(await here.invoke(fault, bytes=100 * MEBIBYTE)) == "flooded"
    lines = [line for _, line, _ in here.events.lines]
    dropped = lines.pop()
    newlines = len(lines) if fault == "floods_stdout" else 0
    kept = sum(len(line) for line in lines) + newlines
    assert dropped == f"({100 * MEBIBYTE - kept} bytes of output dropped)"
    assert 0 < kept <= MEBIBYTE
    assert max(len(line) for line in lines) <= 256 * KIBIBYTE


async def test_what_a_function_prints_is_reported_with_its_request_id(room: MakeRoom) -> None:
    async with room() as here:
        for request_id in ("first", "second"):
            await here.invoke("speaks", request_id=request_id)
    for request_id in ("first", "second"):
        lines = [(stream, line) for stream, line, of in here.events.lines if of == request_id]
        assert ("stderr", "to stderr") in lines
        printed = [line for stream, line in lines if stream == "stdout"]
        assert [printed[0], *printed[2:]] == ["printed", "from a child", "without an end"]
        level, time, logged_id, message = printed[1].split("\t")
        assert (level, logged_id, message) == ("[ERROR]", request_id, "logged 1")
        assert (time[10], time[-5], time[-1]) == ("T", ".", "Z")
    assert len(here.events.lines) == 10


async def test_a_flood_of_empty_lines_is_cut_by_their_number_and_told() -> None:
    with piped() as pipe:
        pipe.output.belongs_to("r")
        pipe.write(b"\n" * (MEBIBYTE - 1))
        pipe.read()
        assert len(pipe.lines) == 4_096
        pipe.output.belongs_to(None)
        assert "dropped" in pipe.lines[-1][0]
