"""The table of rules and the tests that show them."""

from __future__ import annotations

import pytest
from support.parity import PAGE, ROOT, RULES, TESTS, Rule, Shown, page, read_rules, read_tests, scan

LIMIT = Rule(id="a.limit", section="Retries", text="It ends.", basis="documented")
FREE = Rule(id="a.free", section="Retries", text="It is free.", basis="choice")
AGE = Rule(id="b.age", section="Age", text="It is old.", basis="observed")


def marked(source: str) -> list[tuple[str, str]]:
    return [(one.test, one.rule) for one in read_tests(source, "tests/x.py")]


def test_the_page_is_what_the_rules_and_the_markers_say() -> None:
    expected = page(read_rules(RULES.read_text()), scan(TESTS, ROOT))
    assert PAGE.read_text() == expected, "run: python tests/support/parity.py"


def test_a_page_has_a_table_for_each_section_and_names_what_is_not_shown() -> None:
    shown = [
        Shown(file="tests/core/test_b.py", line=9, test="test_it_ends", rule="a.limit"),
        Shown(file="tests/core/test_a.py", line=5, test="test_it_ends_soon", rule="a.limit"),
        Shown(file="tests/core/test_a.py", line=5, test="test_it_ends_soon", rule="a.limit"),
    ]
    assert page([LIMIT, FREE, AGE], shown).endswith(
        "## Retries\n\n"
        "| rule | basis | shown by |\n|---|---|---|\n"
        "| It ends. | documented | [it ends soon](../tests/core/test_a.py)<br>[it ends](../tests/core/test_b.py) |\n\n"
        "## Not shown by a test yet\n\n"
        "| section | rule | basis | id |\n|---|---|---|---|\n"
        "| Retries | It is free. | choice | `a.free` |\n"
        "| Age | It is old. | observed | `b.age` |\n"
    )


def test_a_test_that_names_no_rule_is_an_error_that_says_where() -> None:
    shown = [Shown(file="tests/a.py", line=7, test="test_x", rule="a.limt")]
    with pytest.raises(ValueError, match=r"tests/a\.py:7: test_x: there is no rule 'a\.limt' in docs/rules\.yaml"):
        page([LIMIT], shown)


@pytest.mark.parametrize(
    "source",
    [
        '@pytest.mark.rule("a.b")\ndef test_x(): ...',
        '@pytest.mark.rule("a.b")\nasync def test_x(): ...',
        'class Suite:\n    @pytest.mark.rule("a.b")\n    async def test_x(self): ...',
        'rule = pytest.mark.rule\n\n@rule("a.b")\ndef test_x(): ...',
        'shows = pytest.mark.rule("a.b")\n\n@shows\ndef test_x(): ...',
        '@pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.rule("a.b"))])\ndef test_x(n): ...',
        'CASES = [pytest.param(2, marks=[pytest.mark.rule("a.b")])]\n\n@pytest.mark.parametrize("n", CASES)\ndef test_x(n): ...',
        'shows = pytest.mark.rule("a.b")\ntest_x = shows(Machine.TestCase)',
        'pytestmark = pytest.mark.rule("a.b")\n\ndef helper(): ...\n\ndef test_x(): ...',
        'pytestmark = [pytest.mark.slow, pytest.mark.rule("a.b")]\n\nasync def test_x(): ...',
    ],
)
def test_a_marker_is_found_wherever_pytest_takes_it(source: str) -> None:
    assert marked(source) == [("test_x", "a.b")]


def test_a_test_may_show_several_rules_and_a_class_may_show_one() -> None:
    function = '@pytest.mark.rule("a.b")\n@pytest.mark.rule("a.c", "a.d")\ndef test_x(): ...\n\n'
    assert marked(f'{function}@pytest.mark.rule("a.e")\nclass TestY: ...') == [
        ("test_x", "a.b"),
        ("test_x", "a.c"),
        ("test_x", "a.d"),
        ("TestY", "a.e"),
    ]


def test_what_is_not_marked_shows_nothing() -> None:
    assert marked('"""rule"""\nrules = [1]\n\n@pytest.mark.slow\ndef test_x(): ...') == []


def test_a_reference_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"tests/x\.py:1: the reference of a rule must be a plain string"):
        marked("@pytest.mark.rule(NAME)\ndef test_x(): ...")


def test_rules_have_their_own_ids_and_one_of_three_bases() -> None:
    text = "- section: A\n  rules:\n    - {id: a, rule: R, basis: choice}\n    - {id: %s, rule: R, basis: %s}\n"
    assert len(read_rules(text % ("b", "observed"))) == 2
    with pytest.raises(ValueError, match="ids that stand twice"):
        read_rules(text % ("a", "observed"))
    with pytest.raises(ValueError, match="another basis"):
        read_rules(text % ("b", "guessed"))


def test_every_rule_is_a_sentence_that_a_table_can_hold() -> None:
    for rule in read_rules(RULES.read_text()):
        assert rule.text.endswith("."), rule.id
        assert "|" not in rule.text, rule.id
        assert "\n" not in rule.text, rule.id
