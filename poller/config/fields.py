"""The kinds of value that fields have."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic import ValidationInfo as Info

from poller.config.section import origin
from poller.config.wording import must

if TYPE_CHECKING:
    from poller.core.model import MappingId
else:
    MappingId = str  # what a NewType is at run time; nothing else of its module is needed, and it takes time to import

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HANDLER = re.compile(r"[^\s./]+(?:[./][^\s./]+)*\.[A-Za-z_]\w*")
_LONGEST_HANDLER = 128
_REGION = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/@]+):([0-9]{1,5})")
_HIGHEST_PORT = 65535


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise must("must be 1 to 64 letters, digits, - or _")
    return text


def handler_of_python(text: str) -> bool:
    """Whether this can be `module.function`; the module may have dots or slashes."""
    return len(text) <= _LONGEST_HANDLER and _HANDLER.fullmatch(text) is not None


def _handler(text: str) -> str:
    if not handler_of_python(text):
        raise must('must be "module.function", for example app.handler')
    return text


def _region(text: str) -> str:
    if not _REGION.fullmatch(text):
        raise must("must be the name of a region, for example eu-west-1")
    return text


def _variable(text: str) -> str:
    if not VARIABLE.fullmatch(text):
        raise must("cannot be the name of an environment variable: letters, digits and _, no digit first")
    return text


def _not_empty(text: str) -> str:
    if not text:
        raise must("must not be empty")
    return text


def canonical(uuid: UUID) -> MappingId:
    """The spelling that the store knows."""
    return MappingId(str(uuid))


def _uuid(text: MappingId) -> MappingId:
    try:
        return canonical(UUID(text))
    except ValueError:
        raise must("must be a UUID, for example 6b2f0a9e-3c51-4d0c-9c3e-2f1f4f6d1a77") from None


def _endpoint(text: str) -> str:
    try:
        url = urlsplit(text)
        usable = url.scheme in {"http", "https"} and url.hostname and (url.port is None or url.port > 0)
    except ValueError:
        usable = False
    else:
        usable = usable and not (url.username or url.password or url.query or url.fragment or any(map(str.isspace, text)))
    if not usable:
        raise must("must be a URL, http://HOST:PORT or https://HOST:PORT, without a password")
    return text.rstrip("/")


def _listen(text: str) -> str:
    found = _LISTEN.fullmatch(text)
    if found is None or int(found[2]) > _HIGHEST_PORT:
        raise must("must be HOST:PORT, for example 127.0.0.1:9108 (0.0.0.0:9108 for all interfaces), or null for no listener")
    return text


def absolute(path: str | Path, info: Info) -> Path:
    """A path of the configuration, from the folder of its file. Symbolic links stay: a mounted folder swaps them under us."""
    if str(path).startswith("~"):
        raise must("cannot begin with ~: write the whole path, or ${HOME}/...")
    return located(path, origin(info).folder)


def located(path: str | Path, folder: Path) -> Path:
    """The same, for a folder that is known."""
    return Path(os.path.normpath(folder / path))


def _path(value: object, info: Info) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise must("has no value: it must be a path" if value is None else "must be a path")
    return absolute(value, info)


def _interpreter(text: str, info: Info) -> str:
    return str(absolute(_not_empty(text), info)) if "/" in text else _not_empty(text)


def _moment(value: object, info: Info) -> float:
    seconds = _seconds(value)
    now = origin(info).now
    if now is not None and seconds > now:
        raise must("must not be in the future")
    return seconds


def _seconds(value: object) -> float:
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            seconds = moment.timestamp() if moment.tzinfo else -1.0
        else:
            seconds = -1.0 if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except (ValueError, OverflowError):
        seconds = -1.0
    if not seconds >= 0:
        raise must("must be Unix seconds, or a date and time with its offset: 1767225600 or 2026-01-01T00:00:00Z")
    return seconds


def _age(seconds: int) -> int:
    if seconds != FOREVER and not SHORTEST_AGE <= seconds <= LONGEST_AGE:
        raise must(f"must be {FOREVER} (never too old) or from {SHORTEST_AGE} to {LONGEST_AGE}")
    return seconds


FOREVER = -1
SHORTEST_AGE = 60
LONGEST_AGE = 604_800

Name = Annotated[str, AfterValidator(_name)]
"""1 to 64 letters, digits, - or _."""

Handler = Annotated[str, AfterValidator(_handler)]
"""`module.function`; the module may have dots or slashes."""

Region = Annotated[str, AfterValidator(_region)]
"""The name of an AWS region."""

Text = Annotated[str, AfterValidator(_not_empty)]
"""Any text but the empty one."""

Variable = Annotated[str, AfterValidator(_variable)]
"""The name of an environment variable."""

Uuid = Annotated[MappingId, AfterValidator(_uuid)]
"""A UUID in its canonical spelling."""

Endpoint = Annotated[str, AfterValidator(_endpoint)]
"""The base URL of a service, without a slash at its end."""

Listen = Annotated[str, AfterValidator(_listen)]
"""HOST:PORT; an IPv6 address stands in brackets; port 0 lets the system choose."""

FolderPath = Annotated[Path, BeforeValidator(_path)]
"""An absolute path; relative ones start at the folder of the file."""

Interpreter = Annotated[str, AfterValidator(_interpreter)]
"""A program: an absolute path, or a bare name that is looked up in PATH when it is started."""

Moment = Annotated[float, BeforeValidator(_moment)]
"""Unix seconds, not in the future."""

Age = Annotated[int, AfterValidator(_age)]
"""Seconds, or -1."""

Seconds = Annotated[float, Field(gt=0)]
"""A duration above 0."""
