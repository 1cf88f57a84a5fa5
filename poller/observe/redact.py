"""Keeps secrets out of logs: values by the name of their key, passwords inside URLs wherever they stand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping

MASK = "***"
SECRET_KEY = re.compile(
    r"pass(word|wd|phrase)|secret|token|authori[sz]ation|credential|cookie|signature|(api|private|access)[-_ ]?key", re.IGNORECASE
)
URL_PASSWORD = re.compile(r"""(?<=://)([^\s/?#:@"']*):[^\s"']*@""")
"""`user:password@` after a scheme. Passwords may hold any character here, so that of an odd URL rather too much is masked."""


PLAIN = frozenset({int, float, bool, type(None)})
"""Types that hide nothing."""


def redact(_logger: object, _method: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """A processor of structlog."""
    for key, value in event.items():
        if type(value) not in PLAIN or _secret(key):
            event[key] = _masked(key, value)
    return event


def without_passwords(text: str) -> str:
    """The text with the password of every URL in it masked."""
    return URL_PASSWORD.sub(rf"\1:{MASK}@", text) if "://" in text else text


def _masked(key: str, value: object) -> object:
    return MASK if value is not None and _secret(key) else _clean(value)


@lru_cache(maxsize=1024)
def _secret(key: str) -> bool:
    return SECRET_KEY.search(key) is not None


def _clean(value: object) -> object:
    """The value without passwords, at any depth."""
    if isinstance(value, str):
        return without_passwords(value)
    if isinstance(value, Mapping):
        return {key: _masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray):
        return [_clean(inner) for inner in value]
    return value
