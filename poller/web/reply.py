"""An HTTP answer, and what all of them have in common."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

EXCERPT: Final = 300
"""Characters of a body that an error quotes."""

LONGEST_PAUSE: Final = 300.0
"""Seconds: nobody holds up a mapping for longer by a Retry-After."""

MOVED: Final = frozenset({301, 302, 307, 308})
"""Redirects, which are not followed."""


def shown(text: str) -> str:
    """The beginning of a text of the other side, fit for logs and JSON: what is no UTF-8 in headers is half a surrogate pair."""
    return "".join(each if each.isprintable() else "?" for each in text[:EXCERPT])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer.

    Attributes:
        headers: of any spelling; looked up without regard to case.
        body: all of it; of one that is too large, its beginning.
        size: of the whole body in bytes as far as it is known, where it is too large; else 0.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    size: int = 0

    @property
    def good(self) -> bool:
        """Whether it says that all is well."""
        return self.status // 100 == 2  # noqa: PLR2004 - the class of the status

    @property
    def line(self) -> str:
        """The status as a person reads it."""
        return f"HTTP {self.status} {shown(self.reason)}".rstrip()

    @property
    def excerpt(self) -> str:
        """The beginning of the body on one line, behind a colon; empty where there is none."""
        text = " ".join(self.body[: 4 * EXCERPT].decode("utf-8", "replace").split())[:EXCERPT]
        return f": {shown(text)}" if text else ""

    @property
    def target(self) -> str:
        """Where a redirect leads, less its parameters: they may be somebody's session."""
        return shown(re.split("[?#]", self.headers.get("location", "nowhere"), maxsplit=1)[0])

    def pause(self, now: float) -> float | None:
        """Seconds of a Retry-After, which is a number of them or a date; None where there is none that can be read."""
        text = self.headers.get("retry-after", "").strip()
        if re.fullmatch(r"[0-9]{1,9}", text):
            return min(float(text), LONGEST_PAUSE)
        try:
            moment = parsedate_to_datetime(text).timestamp()
        except (ValueError, OverflowError):
            return None
        return min(max(0.0, moment - now), LONGEST_PAUSE)
