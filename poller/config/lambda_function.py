"""A function of AWS Lambda, or of a server that speaks its Invoke API."""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003  (pydantic reads the annotations)
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from poller.config.arn import Arn
from poller.config.fields import Endpoint, Region, Seconds, Text  # noqa: TC001  (the same)
from poller.config.function import OF_PROCESS, REFUSED, BaseFunction
from poller.config.http_function import REMOTE_CONCURRENCY
from poller.config.section import given_key, given_text
from poller.config.wording import fault, must

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import InitErrorDetails

LONGEST_TIMEOUT = 900
"""Seconds: what Lambda gives a function at the most."""

_QUALIFIER = re.compile(r"\$LATEST|[A-Za-z0-9_-]{1,128}")
_FUNCTION = re.compile(
    r"(?P<arn>arn:aws[a-z0-9-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:|[0-9]{12}:function:)?"
    r"(?P<name>[A-Za-z0-9_-]{1,64})(?::(?P<qualifier>\$LATEST|[A-Za-z0-9_-]{1,128}))?"
)
"""A name, a partial ARN or a whole one, each with or without a version or an alias: what the Invoke API takes."""


def _function(text: str) -> str:
    if not _FUNCTION.fullmatch(text):
        raise must(
            "must be the name or the ARN of a Lambda function, with or without a version or alias, for example orders:live"
            " or arn:aws:lambda:REGION:ACCOUNT:function:orders"
        )
    return text


def _qualifier(text: str) -> str:
    if not _QUALIFIER.fullmatch(text):
        raise must("must be a version, an alias, or $LATEST")
    return text


LambdaName = Annotated[str, AfterValidator(_function)]
Qualifier = Annotated[str, AfterValidator(_qualifier)]


class LambdaFunctionConfig(BaseFunction):
    """A function that AWS Lambda runs."""

    refused: ClassVar[Mapping[str, str]] = {
        **{name: why for name, why in REFUSED.items() if name != "function_name" and "executor lambda" not in why},
        **dict.fromkeys(
            ("handler", "code", *OF_PROCESS),
            "belongs to executor process: what Lambda runs is configured there",
        ),
    }

    executor: Literal["lambda"] = Field(
        validation_alias="executor",
        description="lambda: the function is invoked by the Invoke API of AWS Lambda, or of a server that speaks it.",
    )
    function_name: LambdaName = Field(
        description="Name, partial ARN or ARN of the Lambda function, with or without a version or alias (orders:live).",
        examples=["orders"],
    )
    qualifier: Qualifier | None = Field(
        default=None,
        description="Version or alias, where `function_name` names none. Default: none, which is $LATEST.",
    )
    timeout: Seconds = Field(
        default=LONGEST_TIMEOUT,
        description="Seconds to wait for an answer: not below the function's own Timeout, which is what ends it. Default 900,"
        " Lambda's longest, so that nothing is given up that still runs.",
    )
    log_type: Literal["Tail", "None"] = Field(
        default="Tail",
        description="Tail: the last 4 KB of what each invocation logs come back with its answer, and go to poller's log. Default"
        " Tail; None: they are not asked for, and neither are memory and initialisation known.",
    )
    region: Region | None = Field(default=None, description="Region of the function. Default: that of its ARN, else of `aws`.")
    endpoint_url: Endpoint | None = Field(
        default=None,
        description="Base URL of Lambda, for a server that stands in for it. Default: that of `aws`.",
    )
    profile: Text | None = Field(
        default=None,
        description="Profile of the AWS configuration files, for the call itself. Default: that of `aws`.",
    )
    maximum_concurrency: int = Field(
        default=REMOTE_CONCURRENCY,
        ge=1,
        description="Invocations at the same time by this process, and so connections. Default 1000, Lambda's limit of an"
        " account.",
    )

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
        """One qualifier, and the region of the ARN."""
        key, found = given_key(given, "function_name"), _FUNCTION.fullmatch(given_text(given, "function_name") or "")
        if key is None or found is None:
            return
        other = given_key(given, "qualifier")
        if other is not None and given[other] is not None and found["qualifier"]:
            yield fault((other,), f'"{key}" has a version or alias already: write it in one place', at="key", see=(key,))
        region, arn = given_text(given, "region"), Arn.parse(found[0])
        if region is not None and arn is not None and region != arn.region:
            yield fault((given_key(given, "region") or "region",), f"the function of this ARN is in {arn.region}", see=(key,))

    @property
    def arn(self) -> Arn | None:
        """Of `function_name`, where it is a whole one."""
        return Arn.parse(self.function_name)

    @property
    def own_concurrency(self) -> int:
        """Invocations at the same time."""
        return self.maximum_concurrency

    def resource(self, region: str | None) -> str:
        """The function's ARN as a policy names it, with `*` for what is not known."""
        found = _FUNCTION.fullmatch(self.function_name)
        assert found is not None  # noqa: S101  (it was checked)
        prefix = found["arn"] or "*:function:"
        if not prefix.startswith("arn:"):
            prefix = f"arn:aws:lambda:{region or '*'}:{prefix}"
        qualifier = found["qualifier"] or self.qualifier
        return f"{prefix}{found['name']}{f':{qualifier}' if qualifier else ''}"
