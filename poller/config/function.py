"""What all functions have, and what those have that run a handler of their own."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  (pydantic reads the annotations)
from pathlib import Path
from typing import Final

from pydantic import Field

from poller.config.fields import FolderPath, Handler, Seconds  # noqa: TC001  (the same)
from poller.config.section import LambdaSection

ABSENT: Final = "is not supported yet: "
REFUSED: Final[Mapping[str, str]] = {
    "layers": ABSENT + "put their content below the folder of code",
    "ephemeral_storage": ABSENT + "leave it out",
    "logging_config": ABSENT + "use log at the top of the file",
    "reserved_concurrent_executions": "is Lambda's name: use reserved_concurrency",
    "code_uri": "is the name in SAM: use code",
    "function_name": "is the key of the function itself: leave it out",
    "role": "means nothing here: see credentials",
    **dict.fromkeys(("url", "protocol", "headers", "headers_file", "ca_file"), "belongs to executor http"),
    "qualifier": "belongs to executor lambda",
}
"""What Lambda, SAM or another executor have, and what to write instead."""

OF_PROCESS: Final = (
    *("runtime", "runtime_client", "python", "node"),
    *("memory_size", "environment", "environment_file", "credentials"),
    *("provisioned_concurrency", "idle_timeout", "maximum_invocations", "maximum_age"),
)
"""What only worker processes have."""


class BaseFunction(LambdaSection):
    """What all functions have."""

    timeout: Seconds = Field(
        default=3,
        description="Seconds that one invocation may take. Default 3, as Lambda's; unlike there, any length is allowed.",
    )
    reserved_concurrency: int | None = Field(
        default=None,
        ge=0,
        description="Invocations at the same time that this function can always have, and never more; taken out of"
        " concurrency_limit, for all others it is not there. 0 stops the function: its mappings wait, nothing is lost. Default:"
        " none, it shares what nobody reserves.",
    )

    @property
    def own_concurrency(self) -> int:
        """Invocations at the same time: `maximum_concurrency`, or what is usual for the executor."""
        raise NotImplementedError

    @property
    def capacity(self) -> int:
        """How many its executor must be able to run at the same time. What is reserved can be had, whatever is usual."""
        if "maximum_concurrency" in self.model_fields_set and getattr(self, "maximum_concurrency", None) is not None:
            return self.own_concurrency
        return max(self.own_concurrency, self.reserved_concurrency or 0)

    @property
    def concurrency(self) -> int:
        """How many may run at the same time; 0: it is stopped."""
        return self.capacity if self.reserved_concurrency is None else min(self.capacity, self.reserved_concurrency)

    @property
    def memory_limit(self) -> int | None:
        """MB that one worker may use, where that is known here."""
        size = getattr(self, "memory_size", None)
        return size if isinstance(size, int) else None


class HandlerFunction(BaseFunction):
    """A function that is a handler, in a folder of this machine."""

    handler: Handler = Field(
        description="What to call: module.function, the module found below `code`.",
        examples=["app.handler"],
    )
    code: FolderPath = Field(
        default=Path(),
        description="Folder that holds the handler's module, relative to the file. Default: the folder of the file.",
    )
