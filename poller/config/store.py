"""URLs of stores."""

from __future__ import annotations

from pydantic import ValidationInfo as Info  # noqa: TC002  (pydantic looks for it in the signature)

from poller.config.fields import absolute
from poller.config.wording import must

_REDIS = ("redis:", "rediss:", "redis+sentinel:", "redis+cluster:", "valkey:", "valkeys:", "unix:")
_FILE = "sqlite:///"


def store_url(text: str, info: Info) -> str:
    """`memory://`, or `sqlite:///` and an absolute path."""
    if text == "memory://":
        return text
    if text.startswith(_REDIS):
        raise must("names a Redis server, which is not supported yet: use sqlite:///PATH")
    if not text.startswith(_FILE):
        hint = ": sqlite takes three slashes" if text.startswith("sqlite:") else ""
        raise must("must be sqlite:///PATH or memory://" + hint)
    return _FILE + str(absolute(_file(text.removeprefix(_FILE)), info))


def _file(path: str) -> str:
    if path in {"", "/", ".", ":memory:"} or path.endswith("/"):
        raise must("names no file: write sqlite:///PATH, or memory:// for a store that forgets")
    if "?" in path or "#" in path:
        raise must('cannot hold "?" or "#": sqlite:///PATH takes no parameters')
    return path
