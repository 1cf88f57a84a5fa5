"""`poller explain`: which records of an event a mapping's filter wants, and which condition the others fail."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poller.cli.arguments import config_path
from poller.cli.exits import EX_OK, EX_USAGE
from poller.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.cli import Commands
    from poller.config import MappingConfig
    from poller.core.explain import Explanation

_DESCRIPTION = """\
Tells for each record of an event whether the filter of a mapping wants it, and of each pattern which condition failed. Nothing
is read or invoked.

EVENT is a file, or - for stdin, with an event as a function gets it ({"Records": [...]}), or with one record of it.
"""

_EPILOG = """\
examples:
  poller explain orders event.json -c poller.yaml
  poller event sqs --body '{"status": "paid"}' | poller explain mails - -c poller.yaml
  poller explain orders event.json -c poller.yaml -o json | jq '.[].wanted'

exit codes:
   0  the filter wants every record
   1  it keeps out at least one
   2  the command line is wrong, or the event is none
  78  the configuration is wrong
"""

EX_UNWANTED = 1


def add_to(commands: Commands) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "explain",
        help="say why a filter wants a record, or not",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("mapping", metavar="MAPPING", help="the name of a mapping")
    parser.add_argument("event", metavar="EVENT", help="file with an event, or one record of it; - for stdin")
    parser.add_argument(
        "-c", "--config", metavar="FILE", type=config_path, required=True, help="a file, or a folder of *.yaml files"
    )
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to say it. Default: text")
    parser.set_defaults(command=_explain)


class _Wrong(Exception):
    """What is wrong with the command line or the event."""


def _explain(arguments: argparse.Namespace) -> int:
    from poller.config import load  # noqa: PLC0415  (help must not wait for pydantic)

    config = load(arguments.config, SystemClock())
    try:
        mapping = _mapping(arguments.mapping, config.event_source_mappings)
        records = _records(_read(arguments.event))
    except _Wrong as error:
        print(f"poller explain: error: {error}", file=sys.stderr)
        return EX_USAGE
    from poller.core.explain import explain  # noqa: PLC0415  (a wrong command line must not wait for it)

    said = [(record, explain(mapping.patterns, mapping.shape, json.dumps(record).encode())) for record in records]
    wanted = [not mapping.patterns or any(each.matches for each in answers) for _, answers in said]
    if arguments.output == "json":
        told = [_as_json(record, answers, want) for (record, answers), want in zip(said, wanted, strict=True)]
        print(json.dumps(told, indent=2))
    else:
        for (record, answers), want in zip(said, wanted, strict=True):
            print("\n".join(_as_text(record, answers, want)))
    return EX_OK if all(wanted) else EX_UNWANTED


def _mapping(name: str, mappings: Sequence[MappingConfig]) -> MappingConfig:
    names = {each.name: each for each in mappings}
    if name in names:
        return names[name]
    close = difflib.get_close_matches(name, names, n=1)
    hint = f", did you mean {close[0]!r}?" if close else f"; there are: {', '.join(sorted(names)) or 'none'}"
    raise _Wrong(f"no mapping {name!r} in the configuration{hint}")


def _read(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise _Wrong(f"{path}: {error.strerror}") from None


def _records(text: bytes) -> list[dict[str, Any]]:
    """The records of an event, or the one that was given."""
    try:
        event = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _Wrong(f"the event is not JSON: {error}") from None
    records = event.get("Records", [event]) if isinstance(event, dict) else None
    if not isinstance(records, list) or not records or not all(isinstance(each, dict) for each in records):
        raise _Wrong('an event is {"Records": [...]}, or one record, a JSON object')
    return records


def _name(record: dict[str, Any]) -> str:
    """What a record is called where it is called anything."""
    return str(record.get("messageId") or record.get("eventID") or "without an id")


def _as_json(record: dict[str, Any], answers: Sequence[Explanation], wanted: bool) -> dict[str, object]:  # noqa: FBT001
    patterns = [
        {
            "pattern": each.number,
            "matches": each.matches,
            "remark": each.remark,
            "conditions": [
                {"field": one.field, "wanted": json.loads(one.wanted), "found": [*map(json.loads, one.found)], "holds": one.holds}
                for one in each.conditions
            ],
        }
        for each in answers
    ]
    return {"record": _name(record), "wanted": wanted, "patterns": patterns}


def _as_text(record: dict[str, Any], answers: Sequence[Explanation], wanted: bool) -> list[str]:  # noqa: FBT001
    verdict = "wanted" if wanted else "filtered out"
    lines = [f"record {_name(record)}: {verdict}{'' if answers else ', the mapping has no filter'}"]
    for each in answers:
        lines.append(f"  pattern {each.number}: {'matches' if each.matches else 'does not match'}")
        if each.remark:
            lines.append(f"    {each.remark}")
        for one in each.conditions:
            found = ", ".join(one.found) or "nothing"
            lines.append(f"    {'ok  ' if one.holds else 'FAIL'} {one.field}: wanted {one.wanted}, found {found}")
        if each.together and not each.remark:
            lines.append("    each holds by itself, but no one element of an array satisfies them together")
    return lines
