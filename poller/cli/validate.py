"""`poller validate`: everything that is wrong with a configuration, without running it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from poller.cli.arguments import config_path
from poller.cli.exits import EX_OK
from poller.clock import SystemClock

if TYPE_CHECKING:
    from poller.cli import Commands

_DESCRIPTION = """\
Shows every problem of a configuration at once: where it is, what it is, and what to write instead. Reads files and environment
variables, nothing else: no network, no AWS, no function is started.
"""

_EPILOG = """\
examples:
  poller validate poller.yaml
  poller validate /etc/poller/ && systemctl restart poller

exit codes:
   0  it is fine
   2  the command line is wrong
  78  it is not; the problems are on stderr
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
    parser.set_defaults(command=_validate)


def _validate(arguments: argparse.Namespace) -> int:
    from poller.config import load, shown  # noqa: PLC0415  (help must not wait for pydantic)

    config = load(arguments.file, SystemClock())
    mappings = _counted(len(config.event_source_mappings), "mapping")
    print(f"{shown(arguments.file)}: ok, {mappings}, {_counted(len(config.functions), 'function')}")
    return EX_OK


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
