"""A whole template as drafts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.templates import functions, mappings
from poller.templates.reader import TemplateError
from poller.templates.resolver import Resolver
from poller.templates.values import Surroundings

if TYPE_CHECKING:
    from pathlib import Path

    from poller.templates.draft import Draft
    from poller.templates.reader import Tree

__all__ = ["Surroundings", "drafts"]


def drafts(template: dict[str, Tree], surroundings: Surroundings, path: Path, folder: Path) -> tuple[list[Draft], list[Draft]]:
    """Functions and mappings of the template at `path`, for a file in `folder`; both absolute. Raises `TemplateError`."""
    try:
        return _drafts(Resolver(template, surroundings), path, folder)
    except RecursionError:
        raise TemplateError("the template refers to itself without end, or is nested too deeply") from None


def _drafts(resolver: Resolver, path: Path, folder: Path) -> tuple[list[Draft], list[Draft]]:
    found = {draft.origin: draft for draft in functions.from_template(resolver, path, folder)}
    fed = list(mappings.from_template(resolver, found))
    for draft in (*found.values(), *fed):
        _condition(draft, resolver)
    return list(found.values()), fed


def _condition(draft: Draft, resolver: Resolver) -> None:
    """A resource may depend on a condition."""
    resource = resolver.section("Resources").get(draft.origin.partition(",")[0])
    name = resource.get("Condition") if isinstance(resource, dict) else None
    if name is None:
        return
    holds = resolver.holds(str(name))
    if holds is False:
        draft.off = draft.off or f"condition {name} does not hold here"
    elif holds is None:
        draft.lost.append(f"condition {name} (nobody can say whether it holds)")
