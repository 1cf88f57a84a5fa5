"""How a stream's failed batch is tried again, and what its last failure means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping  # noqa: TC003  (pydantic reads the annotations)
from math import nan
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from poller.config.fields import FOREVER
from poller.config.section import LambdaSection, given_key, given_text, given_value
from poller.config.wording import fault, must

if TYPE_CHECKING:
    from pydantic_core import InitErrorDetails

    from poller.core.policy import Backoff

SHORTEST_WAIT, LONGEST_WAIT = 0.01, 3600
"""Seconds: a function that fails must not be a busy loop; a stream keeps its records for a day at least."""


_ERROR_TYPE = re.compile(r"[^\s*]+(?: [^\s*]+)*\*?|\*")


def _error_type(text: str) -> str:
    if not _ERROR_TYPE.fullmatch(text):
        raise must("must be the errorType of the function, for example ValueError; * may stand at its end")
    return text


ErrorType = Annotated[str, AfterValidator(_error_type)]
"""An errorType of Lambda's error object, or the beginning of some and `*`."""


class RetryBackoff(LambdaSection):
    """How long a failed batch waits before it is tried again."""

    initial: float = Field(
        default=0.5,
        ge=SHORTEST_WAIT,
        le=LONGEST_WAIT,
        description="Seconds before the first retry. Default 0.5, which fits what can be seen of Lambda's.",
    )
    factor: float = Field(
        default=2,
        ge=1,
        le=10,
        description="By how much each further wait is longer. Default 2; 1: all are the same.",
    )
    maximum: float = Field(
        default=60,
        ge=SHORTEST_WAIT,
        le=LONGEST_WAIT,
        description="Seconds, the longest wait. Default 60: a function that is mended is soon found to be.",
    )
    jitter: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="By which part each wait is longer or shorter by chance. Default 0.2, so that shards that failed together do"
        " not come back together.",
    )

    @property
    def waits(self) -> Backoff:
        """The waits, less chance."""
        from poller.core.policy import Backoff  # noqa: PLC0415  (validation alone does not need it)

        return Backoff(initial=self.initial, factor=self.factor, maximum=self.maximum)

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
        """The longest wait is not below the first."""
        key = given_key(given, "maximum") or given_key(given, "initial")
        if key is not None and _number(cls, given, "initial") > _number(cls, given, "maximum"):
            other = "initial" if key == given_key(given, "maximum") else "maximum"
            yield fault((key,), f'"{key}" must not be {"below" if other == "initial" else "above"} {other}')


def exhaustible(given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
    """Who wants a batch without retries to block must have said when it is without."""
    key, limit = given_key(given, "on_exhausted"), given_value(given, "maximum_retry_attempts")
    if key is None or given_text(given, "on_exhausted") != "block":
        return
    if limit in (None, FOREVER) and not given_value(given, "non_retryable_errors"):
        yield fault(
            (key,),
            f'"{key}" has no effect while retries never end: set maximum_retry_attempts, or non_retryable_errors',
        )


def _number(cls: type[RetryBackoff], given: Mapping[str, object], field: str) -> float:
    """What was written, or else the default; not a number where no number was written."""
    value = given_value(given, field) if given_key(given, field) else cls.model_fields[field].default
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else nan
