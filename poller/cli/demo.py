"""`poller demo`: the daemon at work, with nothing to set up."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poller.cli import Commands

_DESCRIPTION = """\
Runs the real daemon on a stand-in for AWS on this machine: no account, no server, nothing to configure. A feed puts orders into
a Kinesis stream and an SQS queue, and an ordinary Lambda handler takes them. Some fail and come again, some can never be taken
and end in dead-letter queues. What you see is read from the daemon's /metrics and its log, as you would read it in production.

On a terminal a table is kept up to date; elsewhere a line is written every few seconds. Ctrl-C or SIGTERM ends the feed, drains
the daemon, stops everything, and sums up; a second one ends it all at once. Nothing is left behind.

Needs the extra: pip install 'poller[demo]'
"""

_EPILOG = """\
examples:
  poller demo
  poller demo --seconds 40                  ends by itself
  poller demo --rate 300                    more than the handler can take: watch the iterator age
  poller demo --seconds 20 --keep           leaves poller.yaml, the handler and all logs to look at

exit codes:
   0  ended by a signal or by --seconds, and drained
   1  the extra `demo` is not installed, something did not start, or ended too early; stderr says what
   2  the command line is wrong
"""

_LARGEST_RATE = 1000.0
_LARGEST_PORT = 65535


def add_to(commands: Commands) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "demo",
        help="see it at work, with nothing to set up",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", metavar="N", type=_seconds, help="end after so many seconds. Default: at Ctrl-C")
    parser.add_argument(
        "--rate", metavar="N", type=_rate, default=40.0, help="orders a second into each source, at most 1000. Default 40"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder with the configuration, the handler and the logs")
    parser.add_argument(
        "--metrics-port",
        metavar="N",
        type=_port,
        help="port of /metrics; 0: any. Default: 9108, or any where that is taken",
    )
    parser.set_defaults(command=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    from poller.demo.run import Options, run  # noqa: PLC0415  (help must not wait for asyncio)

    return run(
        Options(
            seconds=arguments.seconds,
            rate=arguments.rate,
            keep=arguments.keep,
            metrics_port=arguments.metrics_port,
        )
    )


def _seconds(text: str) -> float:
    return _number(text, least=0.0, most=float("inf"))


def _rate(text: str) -> float:
    return _number(text, least=0.0, most=_LARGEST_RATE)


def _number(text: str, *, least: float, most: float) -> float:
    """A number above `least`. NaN is none."""
    try:
        number = float(text)
    except ValueError:
        number = least
    if not least < number <= most:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number above {least:g}" + (f", at most {most:g}" if most < float("inf") else "")
        )
    return number


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to {_LARGEST_PORT})")
    return int(text)
