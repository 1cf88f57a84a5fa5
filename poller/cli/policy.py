"""`poller policy`: the least IAM policy for a configuration."""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import TYPE_CHECKING

from poller.cli.arguments import config_path
from poller.cli.exits import EX_OK, EX_USAGE
from poller.clock import SystemClock

if TYPE_CHECKING:
    from poller.cli import Commands

_DESCRIPTION = """\
Prints the IAM policy that allows what `poller run` does with this configuration, and nothing else: reading its streams, polling
its queues, sending to its failure destinations, invoking its functions of Lambda. Disabled mappings count too, so that they can
be enabled. AWS is not asked.

What no configuration shows is not in it: streams and queues that are encrypted with a KMS key of your own also need kms:Decrypt
on that key, a destination kms:GenerateDataKey too. `poller check` names the keys. Handlers need what their code does.
"""

_EPILOG = """\
examples:
  poller policy poller.yaml
  poller policy poller.yaml > policy.json && aws iam put-role-policy \\
      --role-name poller --policy-name poller --policy-document file://policy.json
  poller policy poller.yaml --profile audit    only for the mappings that use this profile

exit codes:
   0  the policy is on stdout
   2  the command line is wrong
  78  the configuration is wrong
"""


def add_to(commands: Commands) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "policy",
        help="print the least IAM policy for a configuration",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", type=config_path, help="a file, or a folder of *.yaml files")
    parser.add_argument("--profile", metavar="NAME", help="only what mappings with this profile do. Default: all mappings")
    parser.add_argument("--format", choices=("json",), default="json", help="json, for now the only one")
    parser.set_defaults(command=_policy)


def _policy(arguments: argparse.Namespace) -> int:
    from poller import iam  # noqa: PLC0415  (help must not wait for pydantic)
    from poller.config import load  # noqa: PLC0415  (the same)

    config = load(arguments.file, SystemClock())
    by_profile, invoked = iam.profiles(config), iam.functions(config)
    profiles = by_profile.keys() | invoked.keys()
    mappings, functions = config.event_source_mappings, [arn for arns in invoked.values() for arn in arns]
    if arguments.profile is not None:
        if arguments.profile not in profiles:
            used = ", ".join(sorted(name for name in profiles if name)) or "none"
            _note("error", f"no mapping uses the profile {arguments.profile!r}; profiles in use: {used}")
            return EX_USAGE
        mappings, functions = tuple(by_profile.get(arguments.profile, ())), invoked.get(arguments.profile, [])
    elif len(profiles) > 1:
        _note("note", "the mappings use several profiles: --profile NAME prints what one of them needs")
    elif not mappings:
        _note("note", "there are no mappings: this allows nothing, and AWS takes no policy without a statement")
    document = iam.policy(mappings, functions)
    shown = json.dumps(document, indent=2)
    if len(re.sub(r"\s", "", shown)) > iam.LONGEST_MANAGED_POLICY:
        _note(
            "note", f"longer than the {iam.LONGEST_MANAGED_POLICY:,} characters of a managed policy: divide it, or use wildcards"
        )
    print(shown)
    return EX_OK


def _note(kind: str, text: str) -> None:
    print(f"poller policy: {kind}: {text}", file=sys.stderr)
