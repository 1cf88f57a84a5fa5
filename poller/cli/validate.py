"""`poller validate`: everything that is wrong with a configuration, without running it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from poller.cli.arguments import config_path
from poller.cli.exits import EX_CONFIG, EX_OK
from poller.cli.haste import in_haste
from poller.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from poller.cli import Commands
    from poller.config import Config, InvalidConfig, Problem

_DESCRIPTION = """\
Shows every problem of a configuration at once: where it is, what it is, and what to write instead. Reads files and environment
variables, nothing else: no network, no AWS, no function is started. What the daemon would refuse at its start and at a reload is
refused here, by the same code; what only the world can tell (does the queue exist?) is asked by "poller check".
"""

_EPILOG = """\
examples:
  poller validate poller.yaml
  poller validate /etc/poller/ && systemctl reload poller
  poller validate poller.yaml --format json | jq -r '.problems[].message'
  poller validate config/ --format github       in a workflow: problems become annotations of the changed lines

exit codes:
   0  it is fine
   2  the command line is wrong
  78  it is not; the problems are on stderr, with --format json or github on stdout
"""


def add_to(commands: Commands) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "validate",
        help="show every problem of a configuration",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", type=config_path, help="a file, or a folder of *.yaml files")
    parser.add_argument("--format", choices=("text", "json", "github"), default="text", help="Default: text")
    parser.set_defaults(command=_validate)


def _validate(arguments: argparse.Namespace) -> int:
    with in_haste():
        return _validated(arguments.file, arguments.format)


def _validated(path: Path, style: str) -> int:
    from poller.config import InvalidConfig, load, shown  # noqa: PLC0415  (help must not wait for pydantic)

    try:
        config = load(path, SystemClock())
    except InvalidConfig as error:
        if style == "text":
            raise
        print(_REPORTS[style](shown(path), error))
        return EX_CONFIG
    print(_accepted(shown(path), config, style))
    return EX_OK


def _accepted(path: str, config: Config, style: str) -> str:
    mappings, functions = len(config.event_source_mappings), len(config.functions)
    if style == "json":
        return _json({"file": path, "valid": True, "mappings": mappings, "functions": functions, "problems": []})
    return f"{path}: ok, {_counted(mappings, 'mapping')}, {_counted(functions, 'function')}"


def _as_json(path: str, error: InvalidConfig) -> str:
    return _json({"file": path, "valid": False, "problems": [_fields(problem) for problem in error.problems]})


def _fields(problem: Problem) -> dict[str, object]:
    """Line and column count from 1; null: the file as a whole. `source` is the line as it may be shown, secrets masked."""
    place, nowhere = problem.place, problem.place.line == 0
    return {
        "file": place.document.name,
        "line": None if nowhere else place.line,
        "column": None if nowhere else place.column,
        "severity": "error",
        "message": problem.text,
        "source": None if nowhere else place.document.excerpt(place.line, place.column)[0],
    }


def _json(document: dict[str, object]) -> str:
    import json  # noqa: PLC0415  (the other formats do without)

    return json.dumps(document, indent=2, ensure_ascii=False)


def _as_annotations(path: str, error: InvalidConfig) -> str:
    """GitHub's workflow commands, one a line."""
    del path
    return "\n".join(_annotation(problem) for problem in error.problems)


def _annotation(problem: Problem) -> str:
    place = problem.place
    at = f",line={place.line},col={place.column}" if place.line else ""
    name = _escaped(place.document.name).replace(":", "%3A").replace(",", "%2C")
    return f"::error file={name}{at},title=poller::{_escaped(problem.text)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


_REPORTS: dict[str, Callable[[str, InvalidConfig], str]] = {"json": _as_json, "github": _as_annotations}


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
