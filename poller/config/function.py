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
    "reserved_concurrent_executions": "is Lambda's name: use maximum_concurrency",
    "code_uri": "is the name in SAM: use code",
    "function_name": "is the key of the function itself: leave it out",
    "role": "means nothing here: see credentials",
    "url": ABSENT + "it belongs to executor http",
}
"""What Lambda, SAM or another executor have, and what to write instead."""


class BaseFunction(LambdaSection):
    """What all functions have."""

    timeout: Seconds = Field(
        default=3,
        description="Seconds that one invocation may take. Default 3, as Lambda's; unlike there, any length is allowed.",
    )


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
