"""The command line. One file a command group; each imports what it runs when it runs, so that help is instant."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING

from poller import __version__
from poller.cli.exits import EX_CONFIG, EX_USAGE, SIGNALLED
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
  poller demo                               see it at work, with nothing to set up
  poller check config/poller.yaml           do streams, queues, store and handlers answer?
  poller status -c config/poller.yaml       where every shard stands, and what is wrong
  poller event sqs | poller invoke mails -c config/queue.yaml --payload -
  poller import template.yaml -o poller.yaml

exit codes:
   0  done; after SIGTERM: drained
   1  something failed: what, the command's own help says
   2  the command line is wrong
  78  the configuration is wrong (EX_CONFIG)

"poller COMMAND --help" says more.
"""


_COMMANDS = (
    *("run", "validate", "check", "status", "checkpoint", "invoke", "event", "explain", "policy", "import", "dlq", "demo"),
    "completion",
)
"""Each is a module of this package; a Python keyword's has a `_` at its end."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. Wrong usage and --help leave by `SystemExit`, as argparse does it."""
    words = sys.argv[1:] if argv is None else argv
    parser = _parser(_wanted(words))
    arguments = _parsed(parser, words)
    command = getattr(arguments, "command", None)
    if command is None:
        parser.print_help(sys.stderr)
        return EX_USAGE
    try:
        return int(command(arguments))
    except ConfigError as error:
        print(_explained(error), file=sys.stderr)
        return EX_CONFIG
    except KeyboardInterrupt:
        return SIGNALLED + signal.SIGINT
    except BrokenPipeError:  # nobody reads on, as after `| head`: the interpreter's last flush must not fail as well
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SIGNALLED + signal.SIGPIPE


def _wanted(words: Sequence[str]) -> Sequence[str]:
    """The commands to know of: all, or the one that is named, since the others take time to import. Completion looks at all."""
    named = words[:1]
    return named if named and named[0] in _COMMANDS and named[0] != "completion" else _COMMANDS


def _parsed(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """The arguments. A command's optional last one (`late`) may stand behind options: argparse cannot do that by itself."""
    arguments, rest = parser.parse_known_args(argv)
    late = getattr(arguments, "late", None)
    if late and len(rest) == 1 and getattr(arguments, late) is None and not rest[0].startswith("-"):
        setattr(arguments, late, Path(rest[0]))
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return arguments


def _explained(error: ConfigError) -> str:
    """The message; after several problems their number, since the first have scrolled away."""
    from poller.config import InvalidConfig  # noqa: PLC0415  (help must not wait for pydantic)

    if not isinstance(error, InvalidConfig):
        return f"poller: error: {error}"
    return str(error) if len(error.problems) == 1 else f"{error}\n{len(error.problems)} errors"


def _parser(names: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poller",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"poller {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name in names:
        import_module(f"poller.cli.{name}{'_' * iskeyword(name)}").add_to(commands)
    return parser
