"""What `/status` and the page at `/` show."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Board:
    """A place for the document that `/status` shows; empty until somebody says who writes it."""

    def __init__(self) -> None:
        self._write: Callable[[], Awaitable[dict[str, object]]] | None = None

    def show(self, write: Callable[[], Awaitable[dict[str, object]]]) -> None:
        """This makes the document, anew for everybody who asks. It never raises."""
        self._write = write

    async def document(self) -> dict[str, object] | None:
        """As of now; None: the daemon is still starting."""
        return None if self._write is None else await self._write()
