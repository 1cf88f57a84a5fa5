"""Secrets that stand in files of their own, as Docker, Kubernetes and systemd hand them out: `url_file` instead of `url`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from poller.config.fields import VARIABLE, located
from poller.config.files import Unusable, regular, text_of
from poller.config.section import given_key
from poller.config.wording import Held, fault

if TYPE_CHECKING:
    import re
    from pathlib import Path

    from pydantic_core import InitErrorDetails

LARGEST: Final = 65_536
"""Bytes of one secret."""

_START = "(a relative path starts at the folder of the configuration)"


def filled_in(given: dict[str, object], field: str, folder: Path) -> list[InitErrorDetails]:
    """Puts what the file of `FIELD_file` holds in the place of FIELD."""
    key, other = given_key(given, f"{field}_file"), given_key(given, field)
    if key is None or given[key] is None:
        return []
    if other is not None:
        return [fault((key,), f'"{key}" and "{other}" exclude each other: write one of them', at="key", see=(other,))]
    try:
        text = _held(given[key], folder)
    except Unusable as error:
        return [fault((key,), f'"{key}" {error}')]
    if text is not None:
        given[field] = Held(text, key)
    return []


def each_filled_in(
    given: dict[str, object], field: str, folder: Path, *, names: re.Pattern[str] = VARIABLE
) -> list[InitErrorDetails]:
    """The same for a field that is a mapping: `FIELD_file` names a file for each of some of its keys.

    `names`: what a key may be; who reads the field refuses others.
    """
    key, other = given_key(given, f"{field}_file"), given_key(given, field) or field
    files, written = given.get(key or ""), given.get(other, {})
    if key is None or not isinstance(files, Mapping) or not isinstance(written, Mapping):
        return []
    faults: list[InitErrorDetails] = []
    held: dict[object, str] = {}
    for name, path in files.items():
        if name in written:
            text = f'"{name}" stands below "{other}" too: write one of them'
            faults.append(fault((key, str(name)), text, at="key", see=(other, str(name))))
            continue
        try:
            if names.fullmatch(str(name)):
                held[name] = _held(path, folder) or ""
        except Unusable as error:
            faults.append(fault((key, str(name)), f'"{name}" {error}'))
    given[other] = {**written, **held}
    return faults


def _held(path: object, folder: Path) -> str | None:
    """The text in a file, without the line break at its end; None for what is no path: the field itself says so."""
    if not isinstance(path, str) or not path or path.startswith("~"):
        return None
    if "://" in path:
        raise Unusable("must be the path of a file, not a URL")
    try:
        text = text_of(regular(located(path, folder)), LARGEST)
    except Unusable as error:
        raise Unusable(f"cannot be read: {error} {_START}") from None
    return _usable(text.removesuffix("\n").removesuffix("\r"))


def _usable(text: str) -> str:
    if not text:
        raise Unusable("names a file that is empty")
    if "\0" in text:
        raise Unusable("names a file that holds a NUL")
    return text
