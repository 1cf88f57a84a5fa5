"""Functions for Node that a test writes down itself, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from poller.clock import SystemClock
from poller.executors.process import ProcessExecutor, ProcessSpec
from poller.testing.doubles import RecordedEvents
from poller.testing.executors import invocation
from support.install_servers import node

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from poller.core.model import Answer

MEMORY_SIZE = 128


@dataclass(slots=True)
class NodeFunction:
    """A function of one worker, on the light client. `files` are written to `code`; a single text is `index.mjs`."""

    code: Path
    files: Mapping[str, str] | str
    handler: str = "index.handler"
    environment: Mapping[str, str] = field(default_factory=dict)
    events: RecordedEvents = field(default_factory=RecordedEvents)
    executor: ProcessExecutor = field(init=False)

    def __post_init__(self) -> None:
        write(self.code, {"index.mjs": self.files} if isinstance(self.files, str) else self.files)
        spec = ProcessSpec(
            name="noding",
            runtime="nodejs",
            node=str(node()),
            handler=self.handler,
            code=self.code,
            environment=self.environment,
            memory_size=MEMORY_SIZE,
        )
        self.executor = ProcessExecutor(spec, self.events, SystemClock())

    async def __aenter__(self) -> Self:
        await self.executor.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.executor.__aexit__(*exc_info)

    async def __call__(self, event: object = None) -> Answer:
        """Invokes it."""
        return await self.executor.invoke(invocation(event))


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Writes each text to its path below a folder."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
