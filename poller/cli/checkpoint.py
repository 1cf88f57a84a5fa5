"""`poller checkpoint`: how far each shard is done, and how to move that."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from poller.cli.arguments import config_path
from poller.cli.exits import EX_USAGE
from poller.clock import SystemClock

if TYPE_CHECKING:
    from poller.cli import Commands

    Subcommands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  (the type has no public name)

_DESCRIPTION = """\
Shows and moves checkpoints: how far each shard of a mapping's stream is done. Works on the store of the configuration, SQLite or
Redis, whether or not a poller runs; AWS is not asked.

POSITION is a sequence number (all up to this record, included, is done), TRIM_HORIZON, LATEST (what arrives from now on), or
AT_TIMESTAMP=2026-01-01T00:00:00Z. Nothing is written over that is not as it was seen a moment before, and nothing that a poller
has at work unless --force takes it away. Each change is a line in the log, on stderr: who, when, from where, to where.
"""

_EPILOG = """\
examples:
  poller checkpoint get orders -c poller.yaml
  poller checkpoint set orders shardId-000000000003 49612345 -c poller.yaml     skips what is before, that record included
  poller checkpoint set orders shardId-000000000003 TRIM_HORIZON --expect 49612345 -c poller.yaml
  poller checkpoint set orders all AT_TIMESTAMP=2026-01-01T00:00:00Z --dry-run -c poller.yaml
  poller checkpoint reset orders -c poller.yaml --yes           its starting position counts again
  poller checkpoint export -c poller.yaml > checkpoints.json
  poller checkpoint import checkpoints.json -c poller.yaml
  poller checkpoint export orders -c poller.yaml | poller checkpoint import - --as orders-v2 -c poller.yaml

exit codes:
    0  done, or said what would be done
    1  refused, and nothing was changed: a shard is at work, finished, or not where it was expected; the mapping is there already
       (of a file with several mappings the others were brought in)
    2  the command line is wrong, or names what is not there
    3  it could not be done: there is no store yet, it cannot be reached, or it is memory://
   78  the configuration is wrong
  130  ended by Ctrl-C (143: by SIGTERM)
"""


def add_to(commands: Commands) -> None:
    """Adds the command, its subcommands and their options."""
    parser = commands.add_parser(
        "checkpoint",
        help="show how far streams are done; set, copy, export and import that",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=lambda _: _without_action(parser))
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    for add in (_add_get, _add_set, _add_reset, _add_export, _add_import):
        add(actions)


def _without_action(parser: argparse.ArgumentParser) -> int:
    parser.print_help(sys.stderr)
    return EX_USAGE


def _add_get(actions: Subcommands) -> None:
    parser = _action(actions, "get", "show positions, who holds them, and what is finished")
    _add_mapping(parser)
    parser.add_argument("shard", metavar="SHARD", nargs="?", help="one shard. Default: all")
    _add_output(parser)


def _add_set(actions: Subcommands) -> None:
    parser = _action(actions, "set", "move a position, forward or back")
    _add_mapping(parser)
    parser.add_argument("shard", metavar="SHARD", help="a shard, or `all` that the store knows")
    parser.add_argument("position", metavar="POSITION", help="a sequence number, TRIM_HORIZON, LATEST or AT_TIMESTAMP=...")
    parser.add_argument("--expect", metavar="POSITION", help="only if it is there now. Default: wherever it is")
    parser.add_argument("--force", action="store_true", help="also where a poller is at work on it, or where it is finished")
    parser.add_argument("--new", action="store_true", help="the store need not know the shard yet")
    _add_output(parser)
    _add_dry_run(parser)


def _add_reset(actions: Subcommands) -> None:
    parser = _action(actions, "reset", "forget a mapping's checkpoints")
    _add_mapping(parser)
    parser.add_argument(
        "--force", action="store_true", help="also where a poller is at work on it: it will find itself forgotten"
    )
    parser.add_argument("--yes", action="store_true", help="do it. Without: say what would be done")
    _add_output(parser)


def _add_export(actions: Subcommands) -> None:
    parser = _action(actions, "export", "write checkpoints as JSON to stdout")
    parser.add_argument("mapping", metavar="MAPPING", nargs="?", help="a name or UUID. Default: all that the store knows")


def _add_import(actions: Subcommands) -> None:
    parser = _action(actions, "import", "bring exported checkpoints in")
    parser.add_argument("file", metavar="FILE", type=Path, help="what export wrote; -: stdin")
    parser.add_argument("--as", dest="target", metavar="NAME", help="for this mapping, of the same stream. The file holds one")
    parser.add_argument("--force", action="store_true", help="also where the store knows the mapping: all of it is written over")
    _add_output(parser)
    _add_dry_run(parser)


def _action(actions: Subcommands, name: str, about: str) -> argparse.ArgumentParser:
    parser = actions.add_parser(
        name, help=about, description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "-c", "--config", metavar="FILE", type=config_path, required=True, help="a file, or a folder of *.yaml files"
    )
    parser.set_defaults(command=_run, action=name, late="shard" if name == "get" else "mapping" if name == "export" else None)
    return parser


def _add_mapping(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("mapping", metavar="MAPPING", help="its name or UUID; the store's own mappings count too")


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to say it. Default: text")


def _add_dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def _run(arguments: argparse.Namespace) -> int:
    from poller.cli import checkpoint_actions  # noqa: PLC0415  (help must not wait for it)
    from poller.config import load  # noqa: PLC0415  (the same)

    return checkpoint_actions.run(arguments, load(arguments.config, SystemClock()))
