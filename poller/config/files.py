"""Files as text: the configuration itself, and the secrets that it names."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Unusable(Exception):
    """The file's bytes are not to be had, or are not text; the message says why, and nothing of what it holds."""


def text_of(path: Path, most: int) -> str:
    """What a file of `most` bytes at the most holds, without a byte order mark. Raises `Unusable`."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise Unusable(reason(error)) from None
    if len(data) > most:
        raise Unusable(f"larger than {most:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unusable(f"not UTF-8: byte 0x{data[error.start]:02x} in line {line}") from None


def regular(path: Path) -> Path:
    """The same path, unless there is something else than a file: whoever opened a pipe might wait for ever. Raises `Unusable`."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise Unusable(reason(error)) from None
    if not stat.S_ISREG(mode):
        raise Unusable("not a file")
    return path


def is_folder(path: Path) -> bool:
    """Whether it is known to be a folder; where that cannot be found out, reading it as a file says why."""
    try:
        return path.is_dir()
    except OSError:
        return False


def reason(error: OSError | ValueError) -> str:
    """Why a file cannot be read, without its path: that is said already."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
