"""A function that runs in an executor of another package, found by its entry point."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import Field
from pydantic import ValidationInfo as Info

from poller.config.fields import FolderPath, Text  # noqa: TC001  (pydantic reads the annotations)
from poller.config.function import BaseFunction
from poller.config.problem import quote
from poller.config.section import origin, pascal_case
from poller.config.wording import fault, guess, one_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from importlib.metadata import EntryPoint

    from pydantic_core import InitErrorDetails

    from poller.config.tree import At

GROUP: Final = "poller.executors"
"""Of the entry points."""

BUILT_IN: Final = ("process", "inline", "http", "lambda")
"""Names that no plug-in can have."""

PLUGIN_CONCURRENCY: Final = 10


class BadPlugin(Exception):
    """There is no executor of this name, or it cannot be used; the message says why."""


class PluginFunctionConfig(BaseFunction):
    """A function whose executor is a plug-in: any key that is not listed here is an option of the plug-in."""

    executor: Text = Field(
        validation_alias="executor",
        description="The name of an executor that an installed package brings.",
        examples=["command"],
    )
    maximum_concurrency: int = Field(
        default=PLUGIN_CONCURRENCY,
        ge=1,
        description="Invocations at the same time in this process. Default 10, because nobody here knows what one costs.",
    )
    options: Mapping[str, object] = Field(default_factory=dict, exclude=True, repr=False, description="All other keys.")
    folder: FolderPath = Field(default=Path(), exclude=True, description="Of the configuration.")
    """Neither is a key: who writes one of them has an option of that name."""

    @classmethod
    def of(cls, given: Mapping[str, object], info: Info) -> Self:
        """The function of a section as written. Raises ValidationError, with what the plug-in finds wrong too."""
        names = [name for name, field in cls.model_fields.items() if not field.exclude]
        own = {*names, *map(pascal_case, names)}
        options = {key: value for key, value in given.items() if key not in own}
        keys = {key: value for key, value in given.items() if key in own}
        return cls.model_validate({**keys, "options": options}, context=info.context)

    @classmethod
    def from_files(cls, given: dict[str, object], info: Info) -> list[InitErrorDetails]:
        """Asks the plug-in about its options."""
        options = given["options"]
        assert isinstance(options, Mapping)  # noqa: S101  (`of` has made it)
        name = str(given["executor"])
        try:
            return list(_checked(plugin(name), options, origin(info).folder))
        except BadPlugin as error:
            return [fault(("executor",), str(error))]

    @property
    def own_concurrency(self) -> int:
        """Invocations at the same time."""
        return self.maximum_concurrency


def _checked(made: Any, options: Mapping[str, object], folder: Path) -> Iterator[InitErrorDetails]:  # noqa: ANN401 (a plug-in)
    check = getattr(made, "check", None)
    if check is None:
        return
    try:
        found = [(tuple(path), str(sentence)) for path, sentence in check(options, folder)]
    except Exception as error:
        raise BadPlugin(f"the check of this plug-in fails: {_described(error)}") from error
    for path, sentence in found:
        at: At = "key" if sentence.startswith("unknown key") or not path else "value"
        yield fault(path, sentence, at=at)


@cache  # not what it raises: a package that is installed meanwhile is found by the next reload
def plugin(name: str) -> Any:  # noqa: ANN401 (whatever the entry point leads to; `poller.plugins.Plugin` says what that should be)
    """What an executor's entry point leads to: it has `make`. Raises `BadPlugin`."""
    point = _entry_point(name)
    source = f"executor {quote(name)} of package {_package(point)}"
    try:
        found = point.load()
    except (Exception, SystemExit) as error:
        raise BadPlugin(f"{source} cannot be loaded: {_described(error)}") from error
    if not callable(getattr(found, "make", None)):
        raise BadPlugin(f"{source} cannot be used: {point.value} has no function make")
    return found


def _entry_point(name: str) -> EntryPoint:
    points = _entry_points()
    found = [point for point in points if point.name == name]
    if not found:
        known = list(dict.fromkeys((*BUILT_IN, *sorted(point.name for point in points))))
        none = "" if points else " (no plug-in is installed)"
        raise BadPlugin(f'"executor" must be {one_of(known)}{none}{guess(name, known)}')
    if len(found) > 1:
        packages = one_of(sorted(map(_package, found)))
        raise BadPlugin(f"more than one package has an executor {quote(name)}: uninstall {packages}")
    return found[0]


def _entry_points() -> Collection[EntryPoint]:
    """All that are installed. Raises `BadPlugin` where one has the name of an executor of ours: it would never be used."""
    from importlib.metadata import entry_points  # noqa: PLC0415  (`poller validate` is to feel instant where none is used)

    points = entry_points(group=GROUP)
    for point in points:
        if point.name in BUILT_IN:
            raise BadPlugin(f"the plug-in {_package(point)} calls its executor {quote(point.name)}, as one of poller's own")
    return points


def _package(point: EntryPoint) -> str:
    return "unknown" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
