"""A function that runs inside of the daemon."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  (pydantic reads the annotations)
from typing import ClassVar, Final, Literal

from pydantic import Field

from poller.config.function import OF_PROCESS, REFUSED, HandlerFunction

INLINE_CONCURRENCY: Final = 1000


class InlineFunctionConfig(HandlerFunction):
    """A handler, sync or async, that runs inside of poller."""

    refused: ClassVar[Mapping[str, str]] = {**REFUSED} | dict.fromkeys(
        OF_PROCESS,
        "belongs to executor process: an inline handler runs inside of poller, with all that poller has",
    )

    executor: Literal["inline"] = Field(
        validation_alias="executor",
        description="inline: called inside of poller, the fastest; for handlers that can be trusted like poller itself.",
    )
    maximum_concurrency: int = Field(
        default=INLINE_CONCURRENCY,
        ge=1,
        description="Invocations at the same time in this process. Default 1000, Lambda's limit of an account.",
    )

    @property
    def own_concurrency(self) -> int:
        """Invocations at the same time."""
        return self.maximum_concurrency
