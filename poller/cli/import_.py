"""`poller import`: what is in AWS as a configuration of ours."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from poller.cli.arguments import config_path
from poller.cli.exits import EX_OK, EX_USAGE
from poller.clock import SystemClock

if TYPE_CHECKING:
    from poller.cli import Commands
    from poller.templates.draft import Draft

_DESCRIPTION = """\
Writes a configuration with the event source mappings, and their functions, of a SAM or CloudFormation template (YAML or JSON), or
of an AWS account. `poller validate` accepts what comes out. What could not be carried over is a comment beside it ("left out");
what nobody but you can know has a value that looks right, and a comment "set this".

Parameters take their defaults, or --parameter; conditions, mappings and intrinsic functions are worked out as far as that goes.
From an account, only ListEventSourceMappings and GetFunctionConfiguration are called.
"""

_EPILOG = """\
examples:
  poller import template.yaml -o poller.yaml --region eu-west-1 --account 123456789012
  poller import template.yaml --parameter Stage=prod --parameter Shards=4
  poller import --from-aws --region eu-west-1 --profile prod -o poller.yaml

exit codes:
   0  written
   1  the template cannot be read, AWS did not answer, or the file cannot be written; stderr says why
   2  the command line is wrong
"""

EX_FAILED = 1


def add_to(commands: Commands) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "import",
        help="make a configuration of a template, or of an account",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("template", metavar="TEMPLATE", nargs="?", type=config_path, help="a file, YAML or JSON")
    parser.add_argument("--from-aws", action="store_true", help="of an account instead of a template")
    parser.add_argument("-o", "--output", metavar="FILE", type=config_path, help="a file that is not there yet. Default: stdout")
    parser.add_argument("--region", metavar="NAME", help="AWS::Region, or the region to ask. Default: as AWS_REGION says")
    parser.add_argument("--account", metavar="ID", type=_account, help="AWS::AccountId, twelve digits")
    parser.add_argument(
        "--parameter", metavar="NAME=VALUE", action="append", default=[], type=_pair, help="a parameter of the template"
    )
    parser.add_argument("--stack", metavar="NAME", help="AWS::StackName. Default: the name of the template's folder")
    parser.add_argument("--profile", metavar="NAME", help="with --from-aws: a profile of the AWS configuration files")
    parser.add_argument("--endpoint-url", metavar="URL", help="with --from-aws: a server that stands in for AWS")
    parser.add_argument("--environment", action="store_true", help="with --from-aws: the values of environment variables too")
    parser.set_defaults(command=_import, late="template")


def _import(arguments: argparse.Namespace) -> int:
    if problem := _contradiction(arguments):
        return _refused(problem, EX_USAGE)
    from poller.errors import PollerError  # noqa: PLC0415  (help must not wait for it)

    try:
        functions, mappings = _from_aws(arguments) if arguments.from_aws else _from_template(arguments)
        text, drafts = _fitted(functions, mappings, arguments)
    except PollerError as error:
        return _refused(str(error), EX_FAILED)
    if arguments.output is None:
        print(text, end="")
    else:
        try:
            _write(arguments.output, text)
        except OSError as error:
            return _refused(f"{arguments.output}: {error.strerror}", EX_FAILED)
    print(_summary(drafts, arguments.output), file=sys.stderr)
    return EX_OK


def _contradiction(arguments: argparse.Namespace) -> str:
    """What cannot be had together; empty where all is well."""
    if arguments.from_aws == (arguments.template is not None):
        return "give either a TEMPLATE or --from-aws"
    for name in ("profile", "endpoint_url", "environment"):
        if getattr(arguments, name) and not arguments.from_aws:
            return f"--{name.replace('_', '-')} belongs to --from-aws"
    for name in ("account", "parameter", "stack"):
        if getattr(arguments, name) and arguments.from_aws:
            return f"--{name} belongs to a template"
    if arguments.output is not None and os.path.lexists(arguments.output):
        return f"{arguments.output} is there already: it is not overwritten"
    return ""


def _from_template(arguments: argparse.Namespace) -> tuple[list[Draft], list[Draft]]:
    from poller.templates.reader import read  # noqa: PLC0415  (help must not wait for YAML)
    from poller.templates.template import Surroundings, drafts  # noqa: PLC0415  (the same)

    template: Path = arguments.template
    surroundings = Surroundings(
        region=arguments.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        account=arguments.account,
        stack=arguments.stack or template.absolute().parent.name or "stack",
        parameters=dict(arguments.parameter),
    )
    folder = arguments.output.parent if arguments.output is not None else Path()
    return drafts(read(template), surroundings, template.absolute(), folder.absolute())


def _from_aws(arguments: argparse.Namespace) -> tuple[list[Draft], list[Draft]]:
    import asyncio  # noqa: PLC0415  (only who asks AWS waits for its SDK)

    from poller.apis.client import AwsSettings  # noqa: PLC0415  (the same)
    from poller.templates.account import from_account  # noqa: PLC0415  (the same)

    region = arguments.region or os.environ.get("AWS_REGION")
    settings = AwsSettings(region=region, endpoint_url=arguments.endpoint_url, profile=arguments.profile)
    return asyncio.run(from_account(settings, environment=arguments.environment))


def _fitted(functions: list[Draft], mappings: list[Draft], arguments: argparse.Namespace) -> tuple[str, list[Draft]]:
    from poller.templates.fitting import fit  # noqa: PLC0415  (help must not wait for pydantic)

    source = "an AWS account" if arguments.from_aws else arguments.template.name
    target = arguments.output or "FILE"
    head = (
        f'Made of {source} by `poller import`. See to each line that says "set this", then:',
        f"  poller validate {target} && poller check {target}",
        'What could not be carried over says "left out".',
    )
    page, drafts = fit(functions, mappings, head, SystemClock())
    return page.text, drafts


def _write(path: Path, text: str) -> None:
    """A new file, for its owner alone: there may be secrets in it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _summary(drafts: list[Draft], output: Path | None) -> str:
    kept = [draft for draft in drafts if not draft.off]
    functions = sum(draft.kind == "function" for draft in kept)
    to_set = sum(hint.startswith("set this") for draft in kept for hint in draft.hints.values())
    lost = sum(len(draft.lost) for draft in kept) + len(drafts) - len(kept)
    counted = f"{functions} functions, {len(kept) - functions} mappings; {to_set} values to set, {lost} things left out"
    return f"{output or 'stdout'}: {counted}"


def _refused(problem: str, code: int) -> int:
    print(f"poller import: error: {problem}", file=sys.stderr)
    return code


def _account(text: str) -> str:
    if not re.fullmatch(r"[0-9]{12}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an account: twelve digits")
    return text


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value
