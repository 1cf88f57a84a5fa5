"""`poller dlq`: what is in a dead-letter queue, and how it gets out again."""

from __future__ import annotations

import argparse
import difflib
import sys
from typing import TYPE_CHECKING, TypeAlias

from poller.cli.arguments import config_path
from poller.cli.exits import EX_USAGE
from poller.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from poller.cli import Commands
    from poller.config import Config, MappingConfig
    from poller.dlq.asked import Asked
    from poller.dlq.wish import Wish

    Subcommands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  (the type has no public name)

_DESCRIPTION = """\
Looks into a dead-letter queue, and moves, retries or deletes what is in it. The queue is that of a mapping (its queue's redrive
policy, else its destination_config.on_failure), or any that is named by its ARN.

redrive and purge do nothing without --yes: they say what they would do, and on a terminal they ask. A message leaves the
dead-letter queue only after it is elsewhere, so whatever interrupts this, nothing is lost; start it again to go on.
"""

_EPILOG = """\
examples:
  poller dlq list orders -c poller.yaml
  poller dlq list orders -c poller.yaml --filter '{"body": {"status": ["paid"]}}' --bodies
  poller dlq show orders 7d1b5fd5-3c6a-4f0b-a1d7-1c2f5a1f0c11 -c poller.yaml
  poller dlq redrive orders -c poller.yaml                        what would be done
  poller dlq redrive orders -c poller.yaml --limit 10 --yes       ten to begin with
  poller dlq redrive orders -c poller.yaml --rate 50 --yes
  poller dlq redrive orders -c poller.yaml --to function --yes    through the function, without its queue
  poller dlq purge arn:aws:sqs:eu-west-1:123456789012:orders-dead --yes

exit codes:
    0  done, or said what would be done
    1  some messages stayed, and why is on stdout; show: there is no such message
    2  the command line is wrong
    3  it could not be done: there is no such queue, it cannot be reached, or looking would cost messages (--force)
   78  the configuration is wrong
  130  ended by Ctrl-C (143: by SIGTERM); what was done until then is on stdout
"""

LIMIT = 100
"""Messages that `list` shows, unless it is told to show more."""

MOST_RATE = 100_000.0

_Wrong: TypeAlias = argparse.ArgumentTypeError
"""What is wrong with the command line."""


def add_to(commands: Commands) -> None:
    """Adds the command, its subcommands and their options."""
    parser = commands.add_parser(
        "dlq",
        help="look into a dead-letter queue, redrive it, purge it",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=lambda _: _without_action(parser))
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    for add in (_add_list, _add_show, _add_redrive, _add_purge):
        add(actions)


def _without_action(parser: argparse.ArgumentParser) -> int:
    parser.print_help(sys.stderr)
    return EX_USAGE


def _add_list(actions: Subcommands) -> None:
    parser = _action(actions, "list", "show what is in it; each message once")
    _add_filter(parser)
    parser.add_argument("--limit", metavar="N", type=_count, default=LIMIT, help="messages at the most; 0: all. Default: 100")
    parser.add_argument("--bodies", action="store_true", help="also the beginning of each body; with -o json all of it")


def _add_show(actions: Subcommands) -> None:
    parser = _action(actions, "show", "show one message, all of it")
    parser.add_argument("id", metavar="ID", help="its MessageId")


def _add_redrive(actions: Subcommands) -> None:
    parser = _action(actions, "redrive", "send messages back, or through the function")
    parser.add_argument(
        "--to",
        metavar="WHERE",
        default="source",
        help="source, function, or the ARN of a queue. Default: source, where it came from",
    )
    _add_filter(parser)
    parser.add_argument("--rate", metavar="N", type=_rate, help="messages a second at the most. Default: as fast as it goes")
    _add_limits(parser)


def _add_purge(actions: Subcommands) -> None:
    parser = _action(actions, "purge", "delete messages for good")
    _add_filter(parser)
    _add_limits(parser)


def _action(actions: Subcommands, name: str, about: str) -> argparse.ArgumentParser:
    parser = actions.add_parser(
        name, help=about, description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("queue", metavar="QUEUE", help="the name of a mapping (with -c), or the ARN of a dead-letter queue")
    parser.add_argument("-c", "--config", metavar="FILE", type=config_path, help="a file, or a folder of *.yaml files")
    parser.add_argument("--endpoint-url", metavar="URL", help="of SQS, for a queue that is named by its ARN")
    parser.add_argument("--profile", metavar="NAME", help="of the AWS configuration files; the same")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to say it. Default: text")
    parser.add_argument(
        "--force", action="store_true", help="look even where that uses up a message's last receives: only a queue with a redrive"
        " policy of its own has such"
    )  # fmt: skip
    parser.set_defaults(command=_run, action=name)
    return parser


def _add_filter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--filter", metavar="PATTERN", help='an event pattern, as in filter_criteria: {"body": {"status": ["paid"]}}'
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", metavar="N", type=_count, default=0, help="messages at the most; 0: all. Default: 0")
    parser.add_argument("--yes", action="store_true", help="do it. Without: say what would be done, and ask on a terminal")


def _run(arguments: argparse.Namespace) -> int:
    try:
        asked, wish = _asked(arguments), _wish(arguments)
        from poller.cli import dlq_actions  # noqa: PLC0415  (a wrong command line must not wait for the AWS SDK)

        run: dict[str, Callable[[argparse.Namespace, Asked, Wish], int]] = {
            "list": dlq_actions.list_,
            "show": dlq_actions.show,
            "redrive": dlq_actions.redrive,
            "purge": dlq_actions.purge,
        }
        return run[arguments.action](arguments, asked, wish)
    except _Wrong as error:
        print(f"poller dlq: error: {error}", file=sys.stderr)
        return EX_USAGE


def _asked(arguments: argparse.Namespace) -> Asked:
    from poller.config import Connection, load  # noqa: PLC0415  (help must not wait for pydantic)

    config = None if arguments.config is None else load(arguments.config, SystemClock())
    named = arguments.queue.startswith("arn:")
    if not named and config is None:
        raise _Wrong(f"{arguments.queue!r} is no ARN; for a mapping give its configuration: -c FILE")
    mapping = None if named or config is None else _mapping(arguments.queue, config)
    import random  # noqa: PLC0415, TID251  (chance is an argument from here on)

    from poller.dlq.asked import Asked  # noqa: PLC0415  (a wrong command line must not wait for it)

    stderr = sys.stderr
    return Asked(
        config=config,
        mapping=mapping,
        queue=arguments.queue if named else "",
        given=Connection(region=None, endpoint_url=arguments.endpoint_url, profile=arguments.profile),
        clock=SystemClock(),
        rng=random.SystemRandom(),
        say=lambda line: print(line, file=stderr, flush=True),
    )


def _mapping(name: str, config: Config) -> MappingConfig:
    names = {each.name: each for each in config.event_source_mappings}
    if name in names:
        return names[name]
    close = difflib.get_close_matches(name, names, n=1)
    hint = f", did you mean {close[0]!r}?" if close else f"; there are: {', '.join(sorted(names)) or 'none'}"
    raise _Wrong(f"no mapping {name!r} in the configuration{hint}")


def _wish(arguments: argparse.Namespace) -> Wish:
    from poller.core.filters import InvalidPattern  # noqa: PLC0415  (help must not wait for it)
    from poller.dlq.wish import Wish  # noqa: PLC0415  (the same)

    try:
        return Wish(
            pattern=getattr(arguments, "filter", None),
            limit=getattr(arguments, "limit", 0) or None,
            rate=getattr(arguments, "rate", None),
            force=arguments.force,
        )
    except InvalidPattern as error:
        raise _Wrong(f"--filter: {error}") from None


def _count(text: str) -> int:
    if not text.isdecimal():
        raise _Wrong(f"{text!r} is not a number of messages")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= MOST_RATE:
        raise _Wrong(f"{text!r} is not a number of messages a second")
    return rate
