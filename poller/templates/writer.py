"""Drafts as YAML for people: a comment on each thing that could not be carried over, and on each that has to be looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from poller.templates.text import flow, one_line, scalar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from poller.templates.draft import Draft
    from poller.templates.text import Plain

WIDTH: Final = 130
"""Columns after which a comment goes on a line of its own."""


@dataclass(slots=True)
class Page:
    """The text so far, and to which draft and key each of its lines belongs.

    Attributes:
        owners: one for each line; None: nobody's.
    """

    lines: list[str] = field(default_factory=list)
    owners: list[tuple[Draft, str] | None] = field(default_factory=list)

    def add(self, line: str, owner: tuple[Draft, str] | None = None) -> None:
        """One more line."""
        self.lines.append(line.rstrip())
        self.owners.append(owner)

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines) + "\n"


def write(drafts: Sequence[Draft], head: Sequence[str]) -> Page:
    """The whole configuration. `head` is a comment at its top."""
    page = Page()
    for line in head:
        page.add(f"# {line}".rstrip())
    functions = [draft for draft in drafts if draft.kind == "function"]
    mappings = [draft for draft in drafts if draft.kind == "mapping"]
    for key, section, empty in (("functions", functions, "{}"), ("event_source_mappings", mappings, "[]")):
        page.add("")
        page.add(f"{key}:" if any(not draft.off for draft in section) else f"{key}: {empty}")
        for index, draft in enumerate(section):
            if index:
                page.add("")
            _draft(page, draft)
    return page


def _draft(page: Page, draft: Draft) -> None:
    off = "# " if draft.off else ""
    if draft.off:
        page.add(f"  # left out, because {one_line(draft.off)}")
    lines = list(_function(draft) if draft.kind == "function" else _mapping(draft))
    for line, key in lines:
        page.add(f"  {off}{line}", None if draft.off else (draft, key))
    for each in draft.lost:
        page.add(f"    {off}# left out: {one_line(each)}")


def _function(draft: Draft) -> Iterator[tuple[str, str]]:
    yield _with_comment(f"{scalar(draft.name)}:", draft.origin if draft.origin != draft.name else ""), "name"
    yield from _entries(draft, draft.fields, "  ", "")


def _mapping(draft: Draft) -> Iterator[tuple[str, str]]:
    """As an item of a list: its first line begins with a dash."""
    lines = list(_entries(draft, draft.fields, "  ", ""))
    for index, (line, key) in enumerate(lines):
        origin = draft.origin if draft.origin != draft.name else ""
        yield (_with_comment("- " + line[2:], origin) if index == 0 else line), key


def _entries(draft: Draft, fields: dict[str, Plain], indent: str, path: str) -> Iterator[tuple[str, str]]:
    for key, value in fields.items():
        at = f"{path}.{key}" if path else key
        owner = at.partition(".")[0]
        head, hint = f"{indent}{scalar(key)}:", draft.hints.get(at, "")
        if value is None:
            continue
        if isinstance(value, dict) and value:
            yield _with_comment(head, hint), owner
            yield from _entries(draft, value, indent + "  ", at)
        elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
            yield _with_comment(head, hint), owner
            for each in value:
                yield from _item(draft, each, indent + "  ", at)
        else:
            line = f"{head} {flow(value)}"
            if hint and len(line) + len(hint) > WIDTH:
                yield f"{indent}# {one_line(hint)}", owner
                hint = ""
            yield _with_comment(line, hint), owner


def _item(draft: Draft, value: Plain, indent: str, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield f"{indent}- {flow(value)}", path.partition(".")[0]
        return
    for index, (line, owner) in enumerate(_entries(draft, value, indent + "  ", path)):
        yield (indent + "- " + line[len(indent) + 2 :] if index == 0 else line), owner


def _with_comment(line: str, comment: str) -> str:
    return f"{line}  # {one_line(comment)}" if comment else line
