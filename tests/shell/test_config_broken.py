"""Sixty files as people break them, and all that `poller validate` says to each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from poller.cli import main

FOLDER = Path(__file__).parents[1] / "data" / "config" / "broken"
BROKEN = sorted(FOLDER.glob("*.yaml"))
NUMBERS = re.compile(r"(\d\d)-[a-z0-9-]+")


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_file_is_refused_in_so_many_words(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FOLDER)
    monkeypatch.delenv("STORE_URL_OF_NOBODY", raising=False)
    assert main(["validate", path.name]) == 78
    assert capsys.readouterr() == ("", path.with_suffix(".txt").read_text(encoding="utf-8"))


def test_there_are_sixty_of_them_each_with_its_messages() -> None:
    numbers = [found[1] for path in BROKEN if (found := NUMBERS.fullmatch(path.stem))]
    assert numbers == [f"{number:02}" for number in range(1, 61)]
    assert {path.stem for path in FOLDER.iterdir()} == {path.stem for path in BROKEN}


def test_no_secret_of_theirs_is_in_what_is_said() -> None:
    secret = "hunter2"
    assert sum(secret in path.read_text(encoding="utf-8") for path in BROKEN) > 2
    assert not [path.name for path in BROKEN if secret in path.with_suffix(".txt").read_text(encoding="utf-8")]
