"""Conditions of a template: whether they hold, or whether nobody can say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.templates.values import Unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from poller.templates.reader import Tree


def evaluate(condition: Tree, text: Callable[[Tree], str | Unknown], named: Callable[[str], bool | None]) -> bool | None:
    """Whether it holds; None: nobody can say. `text` resolves its values, `named` knows the other conditions."""
    if not isinstance(condition, dict) or len(condition) != 1:
        return None
    [(name, argument)] = condition.items()
    if name == "Condition":
        return named(str(argument))
    if not isinstance(argument, list):
        return None
    if name == "Fn::Equals":
        sides = [text(each) for each in argument]
        return None if any(isinstance(side, Unknown) for side in sides) else len(set(sides)) == 1
    return _combined(name, [evaluate(each, text, named) for each in argument])


def _combined(name: str, known: list[bool | None]) -> bool | None:
    if name == "Fn::Not":
        return not known[0] if known and known[0] is not None else None
    if name not in {"Fn::And", "Fn::Or"}:
        return None
    decisive = name == "Fn::Or"
    if decisive in known:
        return decisive
    return None if None in known else not decisive
