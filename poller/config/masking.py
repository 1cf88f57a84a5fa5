"""Which stretches of a configuration's text nobody may see, found without understanding it: it may be broken.

The parser knows better where the text is sound (`parse.py` hides each value below `environment` and `headers`). This is for the
rest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_USER_INFO = re.compile(r"""://([^\s"']{1,1000})@""")
_SECRETS = re.compile(r"""[ \t]*(?:[-?#][ \t]+)*["']?(?:env|header)\w*["']?[ \t]*:""", re.IGNORECASE)
_ENTRY = re.compile(r"""[ \t]*["']?\w+["']?[ \t]*:[ \t]*|[ \t]*""")


def names_secrets(key: str) -> bool:
    """Whether a key has secrets below it: `environment`, `headers`, and what somebody may write instead of them."""
    return key.lower().startswith(("env", "header"))


def stretches(lines: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Start and end of: users and passwords in URLs; values on lines that are indented below such a key."""
    start, margin = 0, None
    for line in lines:
        end = start + len(line)
        yield from ((start + found.start(1), start + found.end(1)) for found in _USER_INFO.finditer(line))
        if line.strip():
            if margin is not None and _indentation(line) > margin:
                yield start + _begin_of_value(line), end
            else:
                margin = _indentation(line) if _SECRETS.match(line) else None
        start = end


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _begin_of_value(line: str) -> int:
    found = _ENTRY.match(line)
    return found.end() if found else 0
