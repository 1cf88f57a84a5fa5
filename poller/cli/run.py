"""`poller run`: the daemon, in the foreground."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from poller.cli.arguments import config_path
from poller.clock import SystemClock

if TYPE_CHECKING:
    from poller.cli import Commands
    from poller.config import Config

_DESCRIPTION = """\
Reads the configuration and runs its mappings until SIGTERM or Ctrl-C: then nothing new is read, invocations in flight finish
(up to drain_timeout), leases are given back, and the exit code is 0. A second signal exits at once; records that were in flight
are delivered again at the next start.

SIGHUP, or a change of the file, has the configuration read again: mappings and functions that changed are drained and started
anew, all others run on. A file that is wrong changes nothing; what is wrong with it is logged.
"""

_EPILOG = """\
examples:
  poller run -c poller.yaml
  poller run -c /etc/poller/ --log-format json
  poller run -c poller.yaml --log-level debug

exit codes:
   0  drained after SIGTERM or Ctrl-C
   2  the command line is wrong
  78  the configuration is wrong; all of its problems are on stderr, and nothing was started
"""


def add_to(commands: Commands) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "run",
        help="run the mappings of a configuration",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-c", "--config", metavar="FILE", type=config_path, required=True, help="a file, or a folder of *.yaml files"
    )
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), help="instead of log.level in the file")
    parser.add_argument("--log-format", choices=("auto", "json", "console"), help="instead of log.format in the file")
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    from poller.config import load  # noqa: PLC0415  (help must not wait for pydantic)

    def read() -> Config:
        return _with_log_options(load(arguments.config, SystemClock()), arguments)

    config = read()
    from poller import daemon  # noqa: PLC0415  (a wrong configuration must not wait for the AWS SDK)

    return daemon.run(config, daemon.ConfigFile(path=arguments.config.absolute(), read=read))


def _with_log_options(config: Config, arguments: argparse.Namespace) -> Config:
    given = {"level": arguments.log_level, "format": arguments.log_format}
    log = config.log.model_copy(update={key: value for key, value in given.items() if value is not None})
    return config.model_copy(update={"log": log})
