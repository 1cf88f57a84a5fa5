"""Which test shows which rule of Lambda: makes `docs/parity.md` from `docs/rules.yaml` and the markers on the tests.

    python tests/support/parity.py

A test says what it shows with `@pytest.mark.rule("stream.retry.limit")`, also more than once, also on a class, in the `marks` of
a `pytest.param`, or by a name that the module gives to such a marker or table. A module says it for all of its tests with
`pytestmark`. The tests are read, not run, so the page can be made on any machine.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[2]
RULES = ROOT / "docs" / "rules.yaml"
PAGE = ROOT / "docs" / "parity.md"
TESTS = (ROOT / "tests", ROOT / "poller" / "testing")

Basis = Literal["documented", "observed", "choice"]
BASES = ("documented", "observed", "choice")

HEAD = """# Parity with Lambda, rule by rule

What AWS Lambda's event source mappings do, in our own words, and the tests that show that the poller does it too.
*Documented* rules are in AWS's guides. *Observed* ones were seen in recordings of AWS where the guides are silent.
A *choice* is ours: AWS leaves the point open, or we differ on purpose, and the rule says so.

This page is made from `docs/rules.yaml` and the markers on the tests by `python tests/support/parity.py`.
"""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule, as `docs/rules.yaml` has it."""

    id: str
    section: str
    text: str
    basis: Basis


@dataclass(frozen=True, kw_only=True, order=True)
class Shown:
    """A test that carries a rule's marker: its file below the root, its name, the rule."""

    file: str
    line: int
    test: str
    rule: str


def page(rules: list[Rule], shown: Iterable[Shown]) -> str:
    """The text of `docs/parity.md`. Raises ValueError where a test names a rule that there is not."""
    tests: dict[str, list[Shown]] = {rule.id: [] for rule in rules}
    unknown = []
    for one in sorted(set(shown)):
        if one.rule in tests:
            tests[one.rule].append(one)
        else:
            unknown.append(f"{one.file}:{one.line}: {one.test}: there is no rule {one.rule!r} in docs/rules.yaml")
    if unknown:
        raise ValueError("\n".join(unknown))
    sections = [_section(name, [rule for rule in rules if rule.section == name], tests) for name in _sections(rules)]
    return "\n".join([HEAD, *filter(None, sections), _missing([rule for rule in rules if not tests[rule.id]])])


def read_rules(text: str) -> list[Rule]:
    """The rules, in their order. Raises ValueError for what cannot be a rule."""
    rules = [
        Rule(id=each["id"], section=group["section"], text=each["rule"], basis=cast("Basis", each["basis"]))
        for group in yaml.safe_load(text)
        for each in group["rules"]
    ]
    ids = [rule.id for rule in rules]
    if repeated := sorted({each for each in ids if ids.count(each) > 1}):
        raise ValueError(f"ids that stand twice: {repeated}")
    if strange := [rule.id for rule in rules if rule.basis not in BASES]:
        raise ValueError(f"rules with another basis than {', '.join(BASES)}: {strange}")
    return rules


def scan(folders: Iterable[Path], root: Path) -> list[Shown]:
    """Every marked test below these folders."""
    paths = sorted(path for folder in folders for path in folder.rglob("*.py"))
    return [one for path in paths for one in read_tests(path.read_text(), str(path.relative_to(root)))]


def read_tests(source: str, file: str) -> list[Shown]:
    """The marked tests of one file. Raises ValueError where a marker's reference is not a plain string."""
    if "rule" not in source:
        return []
    module = ast.parse(source, file)
    names = _names(module)
    found = list(_marked(module, names, file))
    if "pytestmark" in names:
        everywhere = _references(names["pytestmark"], names, file)
        found += [Shown(file=file, line=test.lineno, test=test.name, rule=rule) for rule in everywhere for test in _tests(module)]
    return found


def _marked(module: ast.Module, names: dict[str, ast.expr], file: str) -> Iterator[Shown]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for rule in (rule for each in node.decorator_list for rule in _references(each, names, file)):
                yield Shown(file=file, line=node.lineno, test=node.name, rule=rule)
    for name, value in names.items():
        if name.lower().startswith("test"):  # a test case that another library has made
            for rule in _references(value, names, file):
                yield Shown(file=file, line=value.lineno, test=name, rule=rule)


def _references(node: ast.expr, names: dict[str, ast.expr], file: str) -> Iterator[str]:
    """The references in a decorator, and in what it names of its module."""
    for each in ast.walk(node):
        match each:
            case ast.Call(func=ast.Name(id="rule") | ast.Attribute(attr="rule"), args=arguments):
                for argument in arguments:
                    match argument:
                        case ast.Constant(value=str(reference)):
                            yield reference
                        case _:
                            raise ValueError(f"{file}:{each.lineno}: the reference of a rule must be a plain string")
            case ast.Name(id=name) if name in names and names[name] is not node:
                yield from _references(names[name], {key: value for key, value in names.items() if key != name}, file)


def _names(module: ast.Module) -> dict[str, ast.expr]:
    """What the module's own names stand for."""
    assigned = [node for node in module.body if isinstance(node, ast.Assign)]
    return {target.id: node.value for node in assigned for target in node.targets if isinstance(target, ast.Name)}


def _tests(module: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(module) if isinstance(node, kinds) and node.name.startswith("test")]


def _sections(rules: list[Rule]) -> list[str]:
    return list(dict.fromkeys(rule.section for rule in rules))


def _section(name: str, rules: list[Rule], tests: dict[str, list[Shown]]) -> str:
    rows = [f"| {rule.text} | {rule.basis} | {_links(tests[rule.id])} |" for rule in rules if tests[rule.id]]
    return "\n".join([f"## {name}", "", "| rule | basis | shown by |", "|---|---|---|", *rows, ""]) if rows else ""


def _links(tests: list[Shown]) -> str:
    distinct = dict.fromkeys((one.file, one.test) for one in tests)
    return "<br>".join(f"[{test.removeprefix('test_').replace('_', ' ')}](../{file})" for file, test in distinct)


def _missing(rules: list[Rule]) -> str:
    rows = [f"| {rule.section} | {rule.text} | {rule.basis} | `{rule.id}` |" for rule in rules]
    table = ["| section | rule | basis | id |", "|---|---|---|---|", *rows] if rows else ["None."]
    return "\n".join(["## Not shown by a test yet", "", *table, ""])


def main() -> int:
    """Writes the page, or says what is wrong."""
    try:
        PAGE.write_text(page(read_rules(RULES.read_text()), scan(TESTS, ROOT)))
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
