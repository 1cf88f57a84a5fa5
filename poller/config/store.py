"""URLs of stores."""

from __future__ import annotations

import re

from pydantic import ValidationInfo as Info  # noqa: TC002  (pydantic looks for it in the signature)

from poller.config.fields import absolute
from poller.config.wording import must

_FILE = "sqlite:///"

_USER = r"(?:[^\s/?#@]*@)?"
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:,/?#@\[\]]+)(?::[0-9]{1,5})?"
_REDIS = {
    "redis": ("redis://[USER:PASSWORD@]HOST[:PORT][/DB]", rf"{_USER}{_HOST}(?:/[0-9]*)?"),
    "rediss": ("rediss://[USER:PASSWORD@]HOST[:PORT][/DB][?ssl_ca_certs=FILE]", rf"{_USER}{_HOST}(?:/[0-9]*)?(?:\?\S*)?"),
    "redis+sentinel": (
        "redis+sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]/SERVICE[/DB]",
        rf"{_USER}{_HOST}(?:,{_HOST})*/[^\s/?#]+(?:/[0-9]*)?",
    ),
    "rediss+sentinel": (
        "rediss+sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]/SERVICE[/DB][?ssl_ca_certs=FILE]",
        rf"{_USER}{_HOST}(?:,{_HOST})*/[^\s/?#]+(?:/[0-9]*)?(?:\?\S*)?",
    ),
    "unix": ("unix:///PATH[?db=DB]", rf"{_USER}/[^\s?#]+(?:\?db=[0-9]+)?"),
}
"""By scheme: how it is written, and what it must match after `://`. The store itself looks closer."""

_INSTEAD = {
    "valkey": "redis://, which Valkey speaks too",
    "valkeys": "rediss://, which Valkey speaks too",
    "redis+cluster": "redis:// and a server of its own, or redis+sentinel://: a Redis Cluster is not supported",
}


def store_url(text: str, info: Info) -> str:
    """`memory://`, `sqlite:///` and an absolute path, or the URL of a Redis server."""
    if text == "memory://":
        return text
    scheme, colon, rest = text.partition(":")
    if colon and scheme in _INSTEAD:
        raise must(f"must begin with {_INSTEAD[scheme]}")
    if colon and scheme in _REDIS:
        return _redis(text, *_REDIS[scheme])
    if not text.startswith(_FILE):
        hint = ": sqlite takes three slashes" if scheme == "sqlite" else ""
        raise must("must be sqlite:///PATH, redis://HOST or memory://" + hint)
    return _FILE + str(absolute(_file(rest.removeprefix("///")), info))


def shown_store_url(url: str) -> str:
    """The URL for people to read: without users and passwords."""
    return re.sub(r"(?<=://)[^/]*@", "***@", url)


def _redis(text: str, form: str, pattern: str) -> str:
    if re.fullmatch(pattern, text.partition("://")[2]) is None:
        raise must(f"must be {form}; in a password write %40 for @, %2F for /, %3F for ?, %23 for #")
    return text


def _file(path: str) -> str:
    if path in {"", "/", ".", ":memory:"} or path.endswith("/"):
        raise must("names no file: write sqlite:///PATH, or memory:// for a store that forgets")
    if "?" in path or "#" in path:
        raise must('cannot hold "?" or "#": sqlite:///PATH takes no parameters')
    return path
