"""`poller event`: a sample event on stdout."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from poller.cli.exits import EX_OK, EX_USAGE

if TYPE_CHECKING:
    from poller.cli import Commands

_DESCRIPTION = """\
Prints an event as Lambda would hand it to a function, to try a handler with. It is made by the code that makes events in
`poller run`: what a handler takes here, it takes there. The same arguments give the same event.
"""

_EPILOG = """\
examples:
  poller event sqs
  poller event kinesis --records 3
  poller event sqs --body '{"id": 17}' --body 'no order'         a message for each
  poller event kinesis --data file://order.json --records 100   the same content a hundred times
  poller event sqs --fifo --group customer-7
  poller event sqs | poller invoke orders -c poller.yaml --payload -

exit codes:
   0  the event is on stdout
   2  the command line is wrong
"""

_MOST_RECORDS = 10_000
_LARGEST_EVENT = 6 * 1024 * 1024
_FILE = "file://"


def add_to(commands: Commands) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "event",
        help="print a sample event",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", choices=("kinesis", "sqs", "dynamodb"), help="kinesis, sqs or dynamodb")
    parser.add_argument(
        "--records", metavar="N", type=_count, help="so many records, at most 10000. Default: one, or one for each --data"
    )
    parser.add_argument(
        "--data",
        "--body",
        metavar="TEXT",
        dest="contents",
        action="append",
        type=_content,
        help="what a record holds, or file://PATH; may be repeated. Default: sample orders. Not for dynamodb",
    )
    parser.add_argument("--arn", metavar="ARN", help="eventSourceARN. Default: of a sample source")
    parser.add_argument("--fifo", action="store_true", help="sqs: of a FIFO queue")
    parser.add_argument(
        "--group", metavar="NAME", default="customer-1", help="partition key, or message group. Default: customer-1"
    )
    parser.set_defaults(command=_event)


def _event(arguments: argparse.Namespace) -> int:
    if problem := _contradiction(arguments):
        print(f"poller event: error: {problem}", file=sys.stderr)
        return EX_USAGE
    from poller.samples import SOURCES, Wish  # noqa: PLC0415  (help must not wait for it)

    contents = tuple(arguments.contents or ())
    event = SOURCES[arguments.source](
        Wish(
            records=arguments.records or len(contents) or 1,
            contents=contents,
            arn=arguments.arn,
            group=arguments.group,
            fifo=arguments.fifo,
        )
    )
    if len(event) > _LARGEST_EVENT:
        print(f"poller event: note: {len(event):,} bytes, more than the 6 MB that a function can be given", file=sys.stderr)
    print(json.dumps(json.loads(event), indent=2, ensure_ascii=False))
    return EX_OK


def _contradiction(arguments: argparse.Namespace) -> str:
    """What cannot be had together; empty where all is well."""
    source, contents = arguments.source, arguments.contents or ()
    if arguments.fifo and source != "sqs":
        return f"--fifo belongs to sqs, not to {source}"
    if arguments.fifo and arguments.arn and not arguments.arn.endswith(".fifo"):
        return "--fifo needs an ARN that ends in .fifo"
    if contents and source == "dynamodb":
        return "--data belongs to kinesis and sqs: changes of a table are made up"
    if source == "sqs" and not all(map(_is_text, contents)):
        return "--body is not UTF-8: a message holds text"
    return ""


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST_RECORDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_MOST_RECORDS}")
    return int(text)


def _content(text: str) -> bytes:
    if not text.startswith(_FILE):
        return text.encode("utf-8", "surrogateescape")
    try:
        return Path(text.removeprefix(_FILE)).read_bytes()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error.strerror}") from None
