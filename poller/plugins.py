"""All that an executor of your own needs of `poller`: what it is made from, what it answers, and how its section is checked.

A plug-in is a package with an entry point in the group `poller.executors`. The entry point's name is what users write
(`executor: NAME`), its value a module, or any object, with

    def make(function: PluginFunction) -> Executor

and, if there is something to say about its keys of the configuration, with

    def check(options: Mapping[str, object], folder: Path) -> Iterable[Wrong]

Stable are: the names below, `poller.testing`, and the methods and meanings of `Executor`, `WorkerEvents` and `Clock` in
`poller.ports`. What may come without notice: more attributes of `PluginFunction`, `Invocation` and `Figures` (make the latter by
keyword), and more methods of `WorkerEvents`, which you call as you like. `docs/executors.md` has the whole story.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from poller.core.envelope import MAX_EVENT_BYTES
from poller.core.model import NO_FIGURES, Answer, Errored, Figures, Invocation, Refused, Returned, TooLarge
from poller.errors import ConfigError
from poller.executors.payloads import exited, not_started, out_of_memory, timed_out
from poller.executors.worker import MAX_ANSWER_BYTES, too_large
from poller.ports import Clock, Executor, WorkerEvents

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = [
    "MAX_ANSWER_BYTES",
    "MAX_EVENT_BYTES",
    "NO_FIGURES",
    "OWN_KEYS",
    "Answer",
    "Clock",
    "ConfigError",
    "Errored",
    "Executor",
    "Figures",
    "Invocation",
    "Plugin",
    "PluginFunction",
    "Refused",
    "Returned",
    "TooLarge",
    "WorkerEvents",
    "Wrong",
    "exited",
    "not_started",
    "out_of_memory",
    "strangers",
    "timed_out",
    "too_large",
]

OWN_KEYS: Final = ("executor", "timeout", "maximum_concurrency", "reserved_concurrency")
"""Keys of a function that `poller` itself reads, whatever the executor: they are never among the options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFunction:
    """One function, as its executor needs to know it.

    Attributes:
        name: as configured.
        arn: what the function is called where it is told its ARN; an invocation may name another.
        timeout: seconds that one invocation may take. An invocation's deadline says the same, as a moment.
        maximum_concurrency: `invoke` is never called more often at the same time.
        folder: of the configuration, absolute: relative paths in options start here.
        options: the other keys of the function's section, as written: text, numbers, booleans, None, lists and dicts of these.
            Below `environment` and `headers` all values are text.
        events: where to tell what the function prints, and of workers, if there are any.
        clock: the time; the deadline of an invocation is by `clock.time()`.
    """

    name: str
    arn: str
    timeout: float
    maximum_concurrency: int
    folder: Path
    options: Mapping[str, object]
    events: WorkerEvents
    clock: Clock


class Wrong(NamedTuple):
    """What is wrong with a function's section.

    Attributes:
        path: the keys and indices that lead to the value below the section: `("command", 0)`. The error points at it.
        sentence: names the key and says what to write, and never quotes the value, which may be a secret.
    """

    path: tuple[str | int, ...]
    sentence: str


class Plugin(Protocol):
    """What an entry point leads to; usually a module. `check`, see above, need not be there."""

    def make(self, function: PluginFunction, /) -> Executor:
        """An executor. Starts nothing yet, and does not wait: that is for `__aenter__` and `invoke`.

        Raises `ConfigError` where it can never work. While a changed configuration is taken over, the executors of the old and
        the new one may be open at the same time.
        """


def strangers(options: Mapping[str, object], known: Iterable[str]) -> Iterator[Wrong]:
    """For `check`: the options that are none, each with the key that was most likely meant, `poller`'s own included."""
    known = tuple(known)
    for key in options:
        if key not in known:
            near = get_close_matches(key, (*known, *OWN_KEYS), n=1, cutoff=0.7)
            yield Wrong((key,), f'unknown key "{key}"' + (f', did you mean "{near[0]}"?' if near else ""))
