"""PyYAML's complaints in words that say what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml
from yaml.reader import ReaderError

if TYPE_CHECKING:
    from poller.config.problem import Document


@dataclass(frozen=True, slots=True)
class _Complaint:
    """What PyYAML says, what we say, and whether to point at where the troubled part began instead of where it broke."""

    pattern: str
    message: str
    from_start: bool = False


_COMPLAINTS = (
    _Complaint(r"found character '\\t'", "a tab is not allowed here: use spaces"),
    _Complaint(r"found character '(.)'", 'a value cannot begin with "{0}": put it in quotes'),
    _Complaint(
        r"mapping values are not allowed",
        'no key can end here: quote the value, or look above for a missing ":" or a missing space behind one',
    ),
    _Complaint(r"could not find expected ':'", 'a key and ":" are expected here', from_start=True),
    _Complaint(
        r"expected <block end>, but found '(<scalar>|,|\]|\})'", "text after the end of the value: put all of it in quotes"
    ),
    _Complaint(r"expected <block end>", "the indentation fits no block above"),
    _Complaint(r"sequence entries are not allowed", 'a list cannot begin here: put "-" on a line of its own, indented'),
    _Complaint(
        r"expected ',' or '(.)', but got '<stream end>'", 'this bracket is never closed: "{0}" is missing', from_start=True
    ),
    _Complaint(r"expected ',' or '(.)', but got '\{'", 'within brackets a variable needs quotes: "${{NAME}}"'),
    _Complaint(r"expected ',' or '(.)'", 'the bracket of line {line} is still open: "," or "{0}" is expected here'),
    _Complaint(r"expected the node content, but found '<stream end>'", "a bracket is never closed"),
    _Complaint(r"expected the node content", "a value is expected here"),
    _Complaint(r"found unexpected end of stream", "this quote is never closed", from_start=True),
    _Complaint(r"found unknown escape", 'an escape that YAML does not know: double the "\\", or use single quotes'),
)


def explained(error: yaml.YAMLError, document: Document) -> tuple[int, str]:
    """Where in the text the error is, and what it means."""
    if isinstance(error, ReaderError):
        index = int(error.position)
        return index, f"YAML does not allow the character U+{ord(document.text[index]):04X}"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return _marked(error, error.problem_mark)
    return 0, "not YAML"


def _marked(error: yaml.MarkedYAMLError, mark: yaml.Mark) -> tuple[int, str]:
    for complaint in _COMPLAINTS:
        if found := re.search(complaint.pattern, error.problem or ""):
            start = error.context_mark or mark
            return (start if complaint.from_start else mark).index, complaint.message.format(*found.groups(), line=start.line + 1)
    return mark.index, f"not YAML: {error.problem}" + (f", {error.context}" if error.context else "")
