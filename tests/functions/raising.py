"""Ways to raise."""

from __future__ import annotations

from typing import Any


class OwnError(Exception):
    """With a message of its own making."""

    def __str__(self) -> str:
        return "own text, Grüße"


def plain(event: Any, context: Any) -> None:
    raise ValueError("no")


def without_text(event: Any, context: Any) -> None:
    raise KeyError


def own(event: Any, context: Any) -> None:
    raise OwnError(1, 2)


def deeper(event: Any, context: Any) -> None:
    plain(event, context)


def chained(event: Any, context: Any) -> None:
    try:
        plain(event, context)
    except ValueError as error:
        raise RuntimeError("because") from error


def grouped(event: Any, context: Any) -> None:
    raise ExceptionGroup("several", [ValueError("a"), TypeError("b")])


def endless(event: Any, context: Any) -> None:
    endless(event, context)


def from_code_without_a_file(event: Any, context: Any) -> None:
    exec(compile("raise LookupError('nowhere')", "<nowhere>", "exec"))


def multiline(event: Any, context: Any) -> None:
    raise ValueError(
        "first line\nsecond line",
    )


def wrong_signature() -> None: ...


def unserialisable(event: Any, context: Any) -> Any:
    return {1, 2}


def fine(event: Any, context: Any) -> Any:
    return event


not_callable = 5
