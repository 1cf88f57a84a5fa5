"""Values of a template, as far as they are known."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that only a deployment has.

    Attributes:
        guess: text that may stand in its place.
        why: how the template names it, for a comment.
    """

    guess: str
    why: str


class NoValue:
    """AWS::NoValue: as if it had not been written."""


NO_VALUE: Final = NoValue()

Value: TypeAlias = "dict[str, Value] | list[Value] | str | int | float | bool | Unknown | NoValue | None"
"""A resolved value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a template would be deployed, and with what.

    Attributes:
        region: None: not said.
        account: twelve digits; None: not said.
        parameters: values of parameters.
    """

    region: str | None = None
    account: str | None = None
    stack: str = "stack"
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def pseudo(self) -> dict[str, str]:
        """The pseudo parameters."""
        region, account = self.region or "us-east-1", self.account or "123456789012"
        partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
        return {
            "AWS::Region": region,
            "AWS::AccountId": account,
            "AWS::Partition": partition,
            "AWS::StackName": self.stack,
            "AWS::StackId": f"arn:{partition}:cloudformation:{region}:{account}:stack/{self.stack}/0",
            "AWS::URLSuffix": "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com",
        }


def joined(separator: str, parts: list[Value]) -> str | Unknown:
    """One text of many; unknown where a part is."""
    unknown = [part.why for part in parts if isinstance(part, Unknown)]
    text = separator.join(part.guess if isinstance(part, Unknown) else str(part) for part in parts)
    return Unknown(text, ", ".join(unknown)) if unknown else text


def clean(name: str) -> str:
    """A name with nothing in it that an ARN could not hold."""
    return _NOT_IN_A_NAME.sub("-", name).strip("-") or "unknown"
