"""`poller invoke`: one invocation of a function, as `aws lambda invoke`."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from poller.cli.arguments import config_path
from poller.cli.exits import EX_OK, EX_USAGE, SIGNALLED
from poller.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.cli import Commands
    from poller.invocation import Outcome

_DESCRIPTION = """\
Invokes a function of the configuration once, through its own executor (worker process, interpreter, environment, time-out), and
without a daemon: no source is read, no store is opened.

The function's answer goes to OUTPUT, and the status to stdout, as `aws lambda invoke` has it. Without OUTPUT the answer goes to
stdout, so that it can be piped on, and the status to stderr. What the function prints goes to stderr.
"""

_EPILOG = """\
examples:
  poller invoke orders -c poller.yaml --payload '{"id": 17}'
  poller invoke orders -c poller.yaml -e event.json output.json
  poller event sqs | poller invoke orders -c poller.yaml --payload - | jq .batchItemFailures
  poller invoke orders -c poller.yaml --log-type Tail out.json | jq -r .LogResult | base64 -d

exit codes:
    0  the function answered
    1  the function failed: it raised, ran out of time, or died; the answer is Lambda's error object
    2  the command line is wrong, or the payload is not JSON
    3  the function was not asked: the payload is too large (6 MB), no worker can be started, or it cannot be reached
   78  the configuration is wrong
  130  ended by Ctrl-C (143: by SIGTERM); the function was ended first
"""

EX_FUNCTION = 1
EX_NOT_INVOKED = 3

_FILES = ("file://", "fileb://")

Wrong: TypeAlias = argparse.ArgumentTypeError
"""What is wrong with the command line."""


def add_to(commands: Commands) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "invoke",
        help="invoke a function once",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("function", metavar="FUNCTION", help="a name under `functions`")
    parser.add_argument("output", metavar="OUTPUT", nargs="?", type=config_path, help="file for the answer. Default: stdout")
    parser.add_argument(
        "-c", "--config", metavar="FILE", type=config_path, required=True, help="a file, or a folder of *.yaml files"
    )
    event = parser.add_mutually_exclusive_group()
    event.add_argument(
        "--payload", metavar="JSON", default="{}", help="the event: JSON, file://PATH, or - for stdin. Default: {}"
    )
    event.add_argument("-e", "--event", metavar="FILE", help="file with the event; - for stdin")
    parser.add_argument(
        "--log-type", choices=("None", "Tail"), default="None", help="Tail: the last 4 KB of the log in LogResult, base64"
    )
    parser.set_defaults(command=_invoke, late="output")


def _invoke(arguments: argparse.Namespace) -> int:
    from poller.config import load  # noqa: PLC0415  (help must not wait for pydantic)

    config = load(arguments.config, SystemClock())
    try:
        _require(arguments.function, list(config.functions))
        event = _event(arguments)
        _require_writable(arguments.output)
    except Wrong as error:
        print(f"poller invoke: error: {error}", file=sys.stderr)
        return EX_USAGE
    import random  # noqa: PLC0415, TID251  (chance is an argument from here on)

    from poller.invocation import Outcome, Request, run  # noqa: PLC0415  (a wrong command line must not wait for it)

    stderr = sys.stderr
    request = Request(function=arguments.function, event=event, say=lambda line: print(line, file=stderr, flush=True))
    outcome = run(config, request, SystemClock(), random.SystemRandom())
    return _told(outcome, arguments) if isinstance(outcome, Outcome) else SIGNALLED + outcome


def _told(outcome: Outcome, arguments: argparse.Namespace) -> int:
    if outcome.payload is None:
        print(f"poller invoke: error: {outcome.reason}", file=sys.stderr)
        return EX_NOT_INVOKED
    status = outcome.status(with_log=arguments.log_type == "Tail")
    shown = json.dumps(status, indent=4)
    if arguments.output is None:
        print(shown, file=sys.stderr, flush=True)
        print(outcome.payload.decode("utf-8", "replace"))
    else:
        arguments.output.write_bytes(outcome.payload)
        print(shown)
    return EX_FUNCTION if "FunctionError" in status else EX_OK


def _require(name: str, functions: Sequence[str]) -> None:
    if name in functions:
        return
    close = difflib.get_close_matches(name, functions, n=1)
    hint = f", did you mean {close[0]!r}?" if close else f"; there are: {', '.join(sorted(functions)) or 'none'}"
    raise Wrong(f"no function {name!r} in the configuration{hint}")


def _require_writable(output: Path | None) -> None:
    """The function must not have run in vain."""
    if output is None:
        return
    try:
        output.open("ab").close()
    except OSError as error:
        raise Wrong(f"{output}: {error.strerror}") from None


def _event(arguments: argparse.Namespace) -> bytes:
    """The event as it came. Raises `Wrong` where it is no JSON: AWS's InvalidRequestContentException."""
    given, what = _given(arguments)
    try:
        json.loads(given, parse_constant=_refuse_constant)
    except ValueError as error:  # UnicodeDecodeError is one
        empty = "" if given.strip() else ": it is empty"
        raise Wrong(f"{what} is not JSON{empty or f': {error}'}") from None
    except RecursionError:
        raise Wrong(f"{what} is nested too deeply") from None
    return given


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _given(arguments: argparse.Namespace) -> tuple[bytes, str]:
    """What was given, and what to call it."""
    if arguments.event is not None:
        return (_stdin() if arguments.event == "-" else _file(arguments.event)), "the event"
    text: str = arguments.payload
    if text == "-":
        return _stdin(), "the payload on stdin"
    for prefix in _FILES:
        if text.startswith(prefix):
            return _file(text.removeprefix(prefix)), "the payload"
    return text.encode("utf-8", "surrogateescape"), "the payload"


def _stdin() -> bytes:
    return sys.stdin.buffer.read()


def _file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Wrong(f"{path}: {error.strerror}") from None
