"""The end of a Lambda function's log, as Invoke hands it back: the function's own lines, and what the platform says of the call.

Formats of the platform's lines: Lambda developer guide, "Working with Lambda function logs" (text and JSON).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from poller.core.model import Figures

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_TAIL: Final = 4096
"""Bytes. A log of that length has most likely lost its beginning."""

MEGABYTE: Final = 1024 * 1024
PLATFORM: Final = re.compile(r"(?:START RequestId|END RequestId|REPORT RequestId|INIT_START Runtime Version|XRAY TraceId): ")
"""How lines begin that are not the function's."""

CUT: Final = "... "
"""Stands where the tail begins in the middle of a line."""

NUMBER: Final = r":\s+([0-9]+(?:\.[0-9]+)?) "
DURATION, INIT_DURATION, MAX_MEMORY = (
    re.compile(rf"\b{name}{NUMBER}{unit}\b")
    for name, unit in (("(?<!Billed )(?<!Init )(?<!Restore )Duration", "ms"), ("Init Duration", "ms"), ("Max Memory Used", "MB"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """What a tail says: the function's lines, and the figures of its report, None where the report is not in it."""

    lines: tuple[str, ...]
    figures: Figures | None


def read_tail(log: bytes) -> Tail:
    """Sorts the lines of a tail."""
    text = log.decode("utf-8", "replace")
    lines = list(_lines(text, cut=len(log) >= LONGEST_TAIL))
    reports = (figures for line in reversed(lines) if (figures := _report(line)) is not None)
    return Tail(lines=tuple(line for line in lines if not _is_platforms(line)), figures=next(reports, None))


def _lines(text: str, *, cut: bool) -> Iterator[str]:
    for index, line in enumerate(text.split("\n")):
        whole = line.removesuffix("\r")
        if whole.strip():
            yield whole if index or not cut or _is_platforms(whole) else CUT + whole


def _is_platforms(line: str) -> bool:
    return PLATFORM.match(line) is not None or _platform_record(line) is not None


def _report(line: str) -> Figures | None:
    record = _platform_record(line)
    if record is not None:
        return _figures_of(record)
    if not line.startswith("REPORT RequestId: "):
        return None
    duration, init, memory = (_number(pattern, line) for pattern in (DURATION, INIT_DURATION, MAX_MEMORY))
    return _figures(duration, init, memory)


def _number(pattern: re.Pattern[str], line: str) -> float | None:
    found = pattern.search(line)
    return None if found is None else float(found[1])


def _figures(duration: float | None, init: float | None, memory: float | None) -> Figures | None:
    """From milliseconds and MB. Without a duration it is no report."""
    if duration is None:
        return None
    return Figures(
        duration=duration / 1000,
        init_duration=None if init is None else init / 1000,
        max_memory=None if memory is None else round(memory * MEGABYTE),
    )


def _platform_record(line: str) -> dict[str, object] | None:
    """A line of the platform where logs are JSON: {"time": ..., "type": "platform.report", "record": {...}}."""
    if not line.startswith("{") or '"platform.' not in line:
        return None
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) and str(record.get("type", "")).startswith("platform.") else None


def _figures_of(line: dict[str, object]) -> Figures | None:
    record = line.get("record")
    metrics = record.get("metrics") if isinstance(record, dict) else None
    if line["type"] != "platform.report" or not isinstance(metrics, dict):
        return None
    values = (metrics.get(name) for name in ("durationMs", "initDurationMs", "maxMemoryUsedMB"))
    return _figures(*(float(value) if isinstance(value, int | float) else None for value in values))
