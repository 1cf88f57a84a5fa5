"""`poller status`: how the mappings of a configuration stand."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from poller import __version__
from poller.cli.arguments import config_path
from poller.cli.exits import EX_OK, EX_USAGE, SIGNALLED
from poller.clock import SystemClock

if TYPE_CHECKING:
    from poller.cli import Commands
    from poller.config import Config, MappingConfig
    from poller.status.asking import Answered, Stored

_DESCRIPTION = """\
Shows each mapping of a configuration: state, source, function; its shards with position, age, who holds them; its lanes where
they differ; its queue; what went wrong last. Asks the store, which knows every shard of every replica, and the daemon on this
machine (http.listen), which knows ages, lanes and errors of its own. Works without either.
"""

_EPILOG = """\
examples:
  poller status -c poller.yaml
  poller status orders -c poller.yaml --all          finished shards too
  poller status -c poller.yaml -o json | jq '.mappings[] | {name, state, iterator_age}'
  poller status -c poller.yaml --daemon 10.0.0.7:9108
  watch -n 2 poller status -c poller.yaml

exit codes:
   0  it is shown, with or without a daemon
   2  the command line is wrong
   3  neither the store nor a daemon could be asked
  78  the configuration is wrong
"""

EX_NOT_DONE: Final = 3


def add_to(commands: Commands) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "status",
        help="show mappings, shards, positions, ages, errors",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("mapping", metavar="MAPPING", nargs="?", help="one mapping. Default: all")
    parser.add_argument(
        "-c", "--config", metavar="FILE", type=config_path, required=True, help="a file, or a folder of *.yaml files"
    )
    parser.add_argument("--daemon", metavar="HOST:PORT", type=_address, help="whom to ask. Default: http.listen, here")
    parser.add_argument("--all", action="store_true", help="finished shards too, and all of more than 50")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to say it. Default: text")
    parser.set_defaults(command=_status, late="mapping")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:  # noqa: PLR2004  (TCP's own limit)
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _status(arguments: argparse.Namespace) -> int:
    from poller.config import load  # noqa: PLC0415  (help must not wait for pydantic)

    config = load(arguments.config, SystemClock())
    mappings = _meant(arguments.mapping, config)
    if mappings is None:
        return EX_USAGE
    from poller import interrupt  # noqa: PLC0415  (a wrong command line must not wait for it)
    from poller.status.asking import ask_daemon, ask_store  # noqa: PLC0415  (the same)

    answered = ask_daemon(config, arguments.daemon)
    stored = interrupt.run(ask_store(config, SystemClock()))
    if isinstance(stored, signal.Signals):
        return SIGNALLED + stored
    try:
        text = _text(arguments, config, mappings, stored, answered)
    except (LookupError, TypeError, ValueError, AttributeError):
        if answered.document is None or answered.document.get("version") == __version__:
            raise
        answered = replace(answered, document=None, problem=f"what answers there is no poller {__version__}, as this command is")
        text = _text(arguments, config, mappings, stored, answered)
    print(text)
    return EX_NOT_DONE if answered.problem is not None and stored.problem is not None else EX_OK


def _meant(named: object, config: Config) -> list[MappingConfig] | None:
    """The mappings to show; None, and a line on stderr, where there is none of that name."""
    if named is None:
        return list(config.event_source_mappings)
    found = [each for each in config.event_source_mappings if str(named) in (each.name, each.uuid)]
    if found:
        return found
    names = [each.name for each in config.event_source_mappings]
    close = difflib.get_close_matches(str(named), names, n=1)
    hint = f", did you mean {close[0]!r}?" if close else f"; there are: {', '.join(sorted(names)) or 'none'}"
    print(f"poller status: error: no mapping {str(named)!r} in the configuration{hint}", file=sys.stderr)
    return None


def _text(
    arguments: argparse.Namespace, config: Config, mappings: list[MappingConfig], stored: Stored, answered: Answered
) -> str:
    """Fails with anything where another version's daemon says it in another way."""
    from poller.status.merged import merged  # noqa: PLC0415  (a wrong command line must not wait for it)
    from poller.status.table import lines  # noqa: PLC0415  (the same)

    document = merged(config, mappings, stored, answered)
    if arguments.output == "json":
        return json.dumps(document, indent=2, ensure_ascii=False)
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return "\n".join(lines(document, whole=arguments.all, colours=colours))
