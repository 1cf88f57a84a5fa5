"""A file of lines that several processes append to, and that is put aside when it grows too large. Blocks.

Each line is whole and on the disk before the next one is begun. Who writes holds a lock (`flock`) on the file itself; a lock on a
file that was put aside meanwhile is of no use, and the one that took its place is tried.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MODE: Final = 0o640
"""Of a new file, before the umask: what is given up may be anybody's data."""

FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
NEWLINE: Final = b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """When a file is put aside.

    Attributes:
        size: bytes that it does not exceed, unless one line alone does.
        kept: how many files are kept beside it: `PATH.1` is the last one, `PATH.2` the one before.
    """

    size: int
    kept: int


def append(name: Path, line: bytes, rotation: Rotation) -> None:
    """Adds a line; `line` has no line break. It is on the disk when this returns.

    Raises `OSError`, and then it is not there: `BlockingIOError` where somebody else writes just now.
    """
    path = Path(os.path.realpath(name))  # files stay beside each other, also where a link names the one
    while True:
        with _locked(path) as file:
            size = _size(path, file)
            if size is None:  # put aside between our opening and locking it
                continue
            if size == 0 or size + len(line) + 1 <= rotation.size:
                _write(path, file, size, line)
                return
            _put_aside(path, rotation.kept)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    file = os.open(path, FLAGS, MODE)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file
    finally:
        os.close(file)  # and so unlocks it


def _size(path: Path, file: int) -> int | None:
    """Bytes that the file holds; None where it is not the one of that name any more."""
    ours = os.fstat(file)
    try:
        there = path.stat()
    except FileNotFoundError:
        return None
    return ours.st_size if (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino) else None


def _write(path: Path, file: int, size: int, line: bytes) -> None:
    """A line that a crash has left torn stays alone on its own."""
    torn = size > 0 and os.pread(file, 1, size - 1) != NEWLINE
    rest = memoryview((NEWLINE if torn else b"") + line + NEWLINE)
    try:
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
        if size == 0:
            _sync_folder(path)
    except OSError:
        with suppress(OSError):
            os.ftruncate(file, size)  # a full disk must not leave half a line, nor a line that is then written again
        raise


def _put_aside(path: Path, kept: int) -> None:
    """The file itself comes last: until then nobody else can have begun a new one."""
    names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, kept + 1))]
    for older, newer in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
        with suppress(FileNotFoundError):
            newer.rename(older)


def _sync_folder(path: Path) -> None:
    """So that the name of a new file is on the disk too, as far as its folder may be read and its file system can do that."""
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(folder)
