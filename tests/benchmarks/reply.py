"""What a service of the stand-in answers."""

from __future__ import annotations

from typing import NamedTuple


class Reply(NamedTuple):
    """A JSON document, and for how many seconds it is held back."""

    body: bytes
    after: float = 0.0
