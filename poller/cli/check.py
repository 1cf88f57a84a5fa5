"""`poller check`: what the world says to a configuration."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING

from poller.cli.arguments import config_path
from poller.cli.exits import EX_OK, SIGNALLED
from poller.clock import SystemClock

if TYPE_CHECKING:
    from poller.check.finding import Finding
    from poller.cli import Commands

_DESCRIPTION = """\
Validates the configuration, then asks the world what `poller run` would find: whether credentials are accepted; streams, queues,
dead-letter queues and destinations exist; time-outs and redrive policies fit; the store answers; handlers can be loaded.

Nothing is consumed or changed: no record is read, no message received or sent, no function invoked. But the modules of handlers
are imported, with all that this does. Each question has an end (--timeout), and all are put at the same time.
"""

_EPILOG = """\
examples:
  poller check poller.yaml
  poller check poller.yaml --format json | jq '.findings[] | select(.level != "ok")'
  poller check /etc/poller/ && systemctl restart poller

exit codes:
   0  nothing failed; there may be warnings
   1  something failed; what, and the remedy, is on stdout
   2  the command line is wrong
  78  the configuration is wrong; nobody was asked
 130  ended by Ctrl-C (143: by SIGTERM)
"""

EX_FAILED = 1
_PATIENCE = 10.0
_LONGEST_PATIENCE = 600.0


def add_to(commands: Commands) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "check",
        help="ask AWS, the store and the handlers whether it works",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", type=config_path, help="a file, or a folder of *.yaml files")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="Default: text")
    parser.add_argument("--timeout", metavar="SECONDS", type=_patience, default=_PATIENCE, help="for each question. Default: 10")
    parser.set_defaults(command=_check)


def _check(arguments: argparse.Namespace) -> int:
    from poller.config import load  # noqa: PLC0415  (help must not wait for pydantic)

    config = load(arguments.file, SystemClock())
    from poller import interrupt  # noqa: PLC0415  (a wrong configuration must not wait for the AWS SDK)
    from poller.check.examine import examine  # noqa: PLC0415  (the same)
    from poller.check.finding import document  # noqa: PLC0415  (the same)

    findings = interrupt.run(examine(config, SystemClock(), arguments.timeout))
    if not isinstance(findings, list):
        return SIGNALLED + findings
    if arguments.format == "json":
        print(json.dumps(document(findings), indent=2, ensure_ascii=False))
    else:
        _show(findings)
    return EX_FAILED if any(finding.level == "failed" for finding in findings) else EX_OK


def _show(findings: list[Finding]) -> None:
    from poller.check.finding import table  # noqa: PLC0415  (help must not wait for it)

    terminal = sys.stdout.isatty()
    colours = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    for line in table(findings, width=shutil.get_terminal_size().columns if terminal else None, colours=colours):
        print(line)


def _patience(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST_PATIENCE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, at most {_LONGEST_PATIENCE:g}")
    return seconds
