"""What of a configuration is other than it was: what does not change is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.compose import function_arn

if TYPE_CHECKING:
    from poller.config import Config, FunctionConfig, MappingConfig

LIMITS = ("reserved_concurrency", "maximum_concurrency")
"""What counts for a function at once, without making it anew."""


def changed_functions(old: Config, new: Config) -> list[str]:
    """Functions that must be made anew, gone and new ones too. Their name to the world is a part of them."""
    names = [*old.functions, *(name for name in new.functions if name not in old.functions)]
    return [
        name
        for name in names
        if not same(old.functions.get(name), new.functions.get(name))
        or function_arn(name, old) != function_arn(name, new)
        or old.function_connection(name) != new.function_connection(name)
    ]


def same(old: FunctionConfig | None, new: FunctionConfig | None) -> bool:
    """Whether a function can go on as it is: limits are no part of it, as long as its executor can run so many."""
    if old is None or new is None or new.capacity > old.capacity:
        return False
    return all(getattr(new, name, None) == value for name, value in old if name not in LIMITS)


def changed(old: Config, new: Config, before: MappingConfig, after: MappingConfig) -> bool:
    """Whether a mapping is another one, or what it uses is elsewhere."""
    return (
        before != after
        or old.source_connection(before) != new.source_connection(after)
        or old.destination_connection(before) != new.destination_connection(after)
    )
