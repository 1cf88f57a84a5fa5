"""The command line. One file a command group; each imports what it runs when it runs, so that help is instant."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from poller import __version__
from poller.cli import run, validate
from poller.cli.exits import EX_CONFIG, EX_USAGE
from poller.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  (the type has no public name)

_DESCRIPTION = """\
Runs AWS Lambda's event source mappings anywhere: reads streams, hands batches to functions, and settles them with Lambda's
delivery semantics.
"""

_EPILOG = """\
examples:
  poller validate config/poller.yaml        every mistake at once, with line and column
  poller run -c config/poller.yaml          run it in the foreground; SIGTERM or Ctrl-C drains
  poller run -c /etc/poller/                all *.yaml files of a folder, merged

exit codes:
   0  done; after SIGTERM: drained
   2  the command line is wrong
  78  the configuration is wrong (EX_CONFIG)

"poller COMMAND --help" says more.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. Wrong usage and --help leave by `SystemExit`, as argparse does it."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    command = getattr(arguments, "command", None)
    if command is None:
        parser.print_help(sys.stderr)
        return EX_USAGE
    try:
        return int(command(arguments))
    except ConfigError as error:
        print(_explained(error), file=sys.stderr)
        return EX_CONFIG


def _explained(error: ConfigError) -> str:
    """The message; after several problems their number, since the first have scrolled away."""
    from poller.config import InvalidConfig  # noqa: PLC0415  (help must not wait for pydantic)

    if not isinstance(error, InvalidConfig):
        return f"poller: error: {error}"
    return str(error) if len(error.problems) == 1 else f"{error}\n{len(error.problems)} errors"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poller",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"poller {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    run.add_to(commands)
    validate.add_to(commands)
    return parser
