"""PyYAML's two parsers: where C's is asked, Python's would have said the same. So it does not matter which of them is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from poller.config import events
from poller.config.events import Unreadable
from poller.config.parse import parse
from poller.config.problem import Document

CONFIG = Path(__file__).parents[2] / "config"
SAMPLES = [path.read_text(encoding="utf-8") for path in sorted(CONFIG.glob("*.yaml"))]
CHARACTERS = "\n\t\r :-?,[]{}#&*!|>'\"%@`$~=<.0 1aé\x85\u2028\ud7ff\U0001f600"
TOKENS = (
    "\n- ",
    "\n  ",
    ": ",
    "&a ",
    "*a",
    "<<: ",
    "---\n",
    "...\n",
    "|\n",
    ">+\n ",
    "[a, b]",
    "{a: b}",
    "# c\n",
    "a:\n",
    "\\n",
    "'x y'",
)
PIECES = st.sampled_from([*CHARACTERS, *TOKENS, *TOKENS])

Seen = tuple[str, int, int, object, object, bool]


def seen(event: yaml.Event) -> Seen:
    """An event as the rest of the program sees it."""
    start, end = events.index(event.start_mark), events.index(event.end_mark)
    style = bool(getattr(event, "style", None))
    return type(event).__name__, start, end, getattr(event, "value", None), getattr(event, "anchor", None), style


def agree(text: str) -> bool:
    """Whether C's parser was asked; then Python's has to see the same."""
    document = Document("config.yaml", text)
    quick = events._quickly(document)
    if quick is None:
        return False
    assert [seen(event) for event in quick] == [
        seen(event) for event in events._within_bounds(document, events._explained(document))
    ]
    return True


@settings(deadline=None, max_examples=400)
@given(pieces=st.lists(PIECES, max_size=30))
@example(pieces=["{a: ", "}"])
@example(pieces=["[a?b]"])
@example(pieces=["|#"])
@example(pieces=["a:\tb"])
def test_any_text_that_c_reads_python_reads_in_the_same_way(pieces: list[str]) -> None:
    assert agree("".join(pieces)) in {True, False}


@settings(deadline=None, max_examples=200)
@given(
    base=st.sampled_from(SAMPLES),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 10), PIECES), max_size=4),
)
def test_so_it_is_with_configurations_and_what_people_mistype_in_them(base: str, edits: list[tuple[float, int, str]]) -> None:
    text = base
    for where, removed, inserted in edits:
        at = int(where * len(text))
        text = text[:at] + inserted + text[at + removed :]
    assert agree(text) in {True, False}


@pytest.mark.parametrize("text", SAMPLES)
def test_samples_are_read_quickly(text: str) -> None:
    assert agree(re.sub("[?!]", ".", text))


def test_without_c_all_is_read_as_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [Document("config.yaml", text) for text in SAMPLES]
    quick = [parse(document, {}) for document in documents]
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert [parse(document, {}) for document in documents] == quick
    assert all(parsed.root is not None for parsed in quick)


@pytest.mark.parametrize(
    "bomb", ["[" * 50_000, "- " * 50_000, "{a: " * 50_000, "[a: " * 50_000, '"' + "x" * 900_000, "&a " * 50_000]
)
def test_what_crashes_or_stalls_a_loader_is_an_error_here(bomb: str) -> None:
    with pytest.raises(Unreadable):
        list(events.events(Document("config.yaml", bomb)))
