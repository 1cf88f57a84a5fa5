"""Makes drafts fit: what the configuration refuses is left out, with its own words for it, until `poller validate` is content.

So nothing here has to know what poller supports: when a field is supported one day, it is carried over.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from poller.config import InvalidConfig, load
from poller.templates.draft import unique
from poller.templates.functions import placeholder
from poller.templates.reader import TemplateError
from poller.templates.writer import Page, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.config import Problem
    from poller.ports import Clock
    from poller.templates.draft import Draft

NEEDED: Final = frozenset({"name", "event_source_arn", "function_name", "executor", "runtime", "handler", "code"})
"""Without these a function or mapping is nothing."""


def fit(functions: list[Draft], mappings: list[Draft], head: Sequence[str], clock: Clock) -> tuple[Page, list[Draft]]:
    """The page, valid, and the drafts on it; they are changed on the way."""
    _name_apart(functions)
    _name_apart(mappings)
    names = {draft.name for draft in functions}
    for mapping in mappings:
        called = str(mapping.fields["function_name"])
        if called not in names:
            names.add(called)
            functions.append(placeholder(called))
    drafts = [*functions, *mappings]
    fields = sum(len(draft.fields) for draft in drafts) + len(drafts)
    page = write(drafts, head)
    problems = _problems(page, clock)
    for _ in range(fields):  # each turn leaves something out
        if not problems:
            break
        _leave_out(problems, page, {draft.name for draft in functions if draft.off})
        page = write(drafts, head)
        problems = _problems(page, clock)
    if problems:
        raise TemplateError("this cannot be written as a configuration: " + "; ".join(problem.message for problem in problems))
    return page, drafts


def _name_apart(drafts: list[Draft]) -> None:
    taken: list[str] = []
    for draft in drafts:
        draft.name = unique(draft.name, taken)
        if draft.kind == "mapping":
            draft.fields = {"name": draft.name} | draft.fields | {"name": draft.name}
        taken.append(draft.name)


def _problems(page: Page, clock: Clock) -> tuple[Problem, ...]:
    with TemporaryDirectory(prefix="poller-import-") as folder:
        path = Path(folder) / "poller.yaml"
        path.write_text(page.text, encoding="utf-8")
        try:
            load(path, clock, environ={})
        except InvalidConfig as error:
            return error.problems
    return ()


def _leave_out(problems: tuple[Problem, ...], page: Page, absent: set[str]) -> None:
    for problem in problems:
        owner = page.owners[problem.place.line - 1] if problem.place.line else None
        if owner is None:
            raise TemplateError(f"this cannot be written as a configuration: {problem.message}")
        draft, key = owner
        if draft.off:
            continue
        if key not in NEEDED:
            with suppress(KeyError):  # two problems of one field
                draft.drop(key, _without_key(problem.message, key))
        elif key == "function_name" and draft.fields[key] in absent:
            draft.off = f"its function {draft.fields[key]} is left out"
        else:
            draft.off = problem.message


def _without_key(message: str, key: str) -> str:
    """Most messages begin with the key, which stands before them here already."""
    return message.removeprefix(f'"{key}" ')
