"""From a file, or a folder of files, to a `Config`; or to one error that shows everything that is wrong."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from poller.config.files import Unusable, is_folder, reason, text_of
from poller.config.merge import merge
from poller.config.model import Config
from poller.config.parse import parse
from poller.config.problem import Document, InvalidConfig, Place, Problem
from poller.config.section import Origin
from poller.config.tree import Plain, Scalar, Table, find, plain
from poller.config.wording import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from poller.ports import Clock

MAX_BYTES = 1_000_000
"""Of one file."""

LAYERS = ("aws", "store", "http", "log")
"""Sections that need not be written."""

SUFFIXES = (".yaml", ".yml")


def load(path: Path, clock: Clock, *, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration of a file, or of all YAML files of a folder in the order of their names.

    Raises `InvalidConfig` (a `ConfigError`) with every problem; only what a syntax error hides has to wait. `environ` is where
    `${NAME}` comes from, `clock` tells what is in the future.
    """
    folder = path if is_folder(path) else path.parent
    text = _read_folder(path, environ) if folder is path else _read_file(path, environ)
    if text.root is None:
        raise InvalidConfig(text.problems)
    return _construct(text.root, text.problems, Origin(folder=folder.absolute(), now=clock.time()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """What is written, before anybody asks whether it makes sense; `root` is None where it cannot be read."""

    root: Table | None = None
    problems: tuple[Problem, ...] = ()


def _construct(root: Table, problems: tuple[Problem, ...], origin: Origin) -> Config:
    """Validates the plain values, and finds the place of each error. What is left out is a layer: a default needs the folder."""
    values: dict[str, Plain] = {key: {} for key in LAYERS}
    values |= {key: plain(entry.value, (key,)) for key, entry in root.entries.items()}
    try:
        config = Config.model_validate(values, context=origin)
    except ValidationError as error:
        found = (problem for each in error.errors(include_url=False) for problem in _located(each, root))
        raise InvalidConfig((*problems, *found)) from None
    if problems:
        raise InvalidConfig(problems)
    return config


def _located(error: ErrorDetails, root: Table) -> Iterator[Problem]:
    """The problem, unless it only follows from one that was reported when the text was read."""
    fault = Fault.of(error)
    assert fault is not None  # noqa: S101  (every section rewords its errors, and the whole is a section)
    node, place = find(root, fault.path, fault.at)
    if isinstance(node, Scalar) and node.broken:
        return
    also = "" if fault.see is None else f", first at {find(root, fault.see, fault.at)[1]}"
    yield Problem(place, fault.sentence + also)


def files_of(folder: Path) -> list[Path]:
    """The files of a folder that are its configuration, in order. Raises `OSError`."""
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and not path.name.startswith("."))


def _read_folder(folder: Path, environ: Mapping[str, str]) -> _Text:
    """All files of a folder, joined; one that cannot be read spoils the whole, since others may depend on it."""
    place = Place(Document.at(folder))
    try:
        paths = files_of(folder)
    except OSError as error:
        return _Text(problems=(Problem(place, reason(error)),))
    if not paths:
        return _Text(problems=(Problem(place, "no *.yaml file in this folder"),))
    texts = [_read_file(path, environ, may_be_empty=True) for path in paths]
    root, problems = merge(place, [text.root for text in texts if text.root is not None])
    spoilt = any(text.root is None for text in texts)
    return _Text(root=None if spoilt else root, problems=(*(problem for text in texts for problem in text.problems), *problems))


def _read_file(path: Path, environ: Mapping[str, str], *, may_be_empty: bool = False) -> _Text:
    try:
        document = Document.at(path, text_of(path, MAX_BYTES))
    except Unusable as error:
        return _Text(problems=(Problem(Place(Document.at(path)), str(error)),))
    parsed = parse(document, environ)
    if isinstance(parsed.root, Table):
        return _Text(root=parsed.root, problems=parsed.problems)
    if parsed.root is not None:
        wrong = Problem(parsed.root.place, "a configuration must be a mapping (key: value)")
        return _Text(problems=(*parsed.problems, wrong))
    if parsed.problems:
        return _Text(problems=parsed.problems)
    if may_be_empty:
        return _Text(root=Table(place=Place(document), entries={}))
    return _Text(problems=(Problem(Place(document), "the file is empty"),))
