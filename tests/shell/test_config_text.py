from __future__ import annotations

from pathlib import Path

import pytest

from poller.clock import SystemClock
from poller.config import Config, InvalidConfig, ProcessFunctionConfig, load

VALID = """\
functions:
  f: {executor: process, runtime: python, handler: app.handler}
event_source_mappings: []
"""


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str | bytes, **environ: str) -> Config:
    path = Path("config.yaml")
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load(path, SystemClock(), environ=environ)


def message(text: str | bytes, **environ: str) -> str:
    """What a user sees."""
    with pytest.raises(InvalidConfig) as caught:
        loaded(text, **environ)
    return str(caught.value)


def environment(value: str, **environ: str) -> str:
    """What a handler sees of a value that stands below `environment`."""
    text = VALID.replace("}\n", f", environment: {{X: {value}}}}}\n", 1)
    function = loaded(text, **environ).functions["f"]
    assert isinstance(function, ProcessFunctionConfig)
    return function.environment["X"]


def test_a_problem_is_shown_with_its_place_its_line_and_a_caret() -> None:
    text = (
        "functions:\n"
        "  orders: {executor: inline, handler: app.handler}\n"
        "event_source_mappings:\n"
        "  - name: orders\n"
        "    event_source_arn: arn:aws:kinesis:eu-west-1:123456789012:stream/orders\n"
        "    function_name: orders\n"
        "    starting_position: LATEST\n"
        "    bach_size: 50\n"
    )
    assert message(text) == (
        'config.yaml:8:5: error: unknown key "bach_size", did you mean "batch_size"?\n     8 |     bach_size: 50\n       |     ^'
    )


def test_problems_come_in_the_order_of_the_text() -> None:
    text = VALID + "zebra: 1\naardvark: 2\n"
    assert [line for line in message(text).splitlines() if "error" in line] == [
        'config.yaml:4:1: error: unknown key "zebra"',
        'config.yaml:5:1: error: unknown key "aardvark"',
    ]


def test_the_caret_stands_below_the_place_in_wide_text_and_behind_tabs() -> None:
    assert message(VALID + '"漢字": 1\n').endswith('"漢字": 1\n       | ^')
    assert message(VALID + 'log: {format: "漢字\t", level: x}\n').endswith(
        '     4 | log: {format: "漢字 ", level: x}\n       |                               ^'
    )


def test_of_a_long_line_only_the_part_around_the_caret_is_shown() -> None:
    shown = message(VALID + "log: {" + "level: info, " * 100 + "format: x}\n").splitlines()
    line, caret = shown[-2], shown[-1]
    assert len(line) < 200
    assert line[9:12] == "..."
    assert line[caret.index("^") :] == "x}"


def test_what_a_terminal_would_act_on_is_never_printed() -> None:
    shown = message(VALID + '"a\\e[31mb\\nc": 1\n')
    assert 'unknown key "a\N{REPLACEMENT CHARACTER}[31mb c"' in shown
    assert "\x1b" not in shown


def test_an_endless_key_is_cut_in_the_message() -> None:
    assert f'unknown key "{"k" * 80}..."\n' in message(VALID + f"{'k' * 100}: 1\n")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "config.yaml: error: the file is empty"),
        (b"# nothing\n", "config.yaml: error: the file is empty"),
        (b"---\n...\n", "config.yaml:2:1: error: a configuration must be a mapping (key: value)\n     2 | ...\n       | ^"),
        (b"a: \xff\n", "config.yaml: error: not UTF-8: byte 0xff in line 1"),
        ("functions: {}\n".encode("utf-16"), "config.yaml: error: not UTF-8: byte 0xff in line 1"),
        (b"x" * 1_000_001, "config.yaml: error: larger than 1,000,000 bytes"),
        (b"- a\n", "config.yaml:1:1: error: a configuration must be a mapping (key: value)\n     1 | - a\n       | ^"),
        (b"text\n", "config.yaml:1:1: error: a configuration must be a mapping (key: value)\n     1 | text\n       | ^"),
    ],
    ids=["empty", "comment", "nothing", "bytes", "UTF-16", "huge", "list", "text"],
)
def test_what_is_no_configuration_at_all_is_said_in_one_problem(content: bytes, expected: str) -> None:
    assert message(content) == expected


def test_a_file_that_is_not_there_is_said_so() -> None:
    with pytest.raises(InvalidConfig) as caught:
        load(Path("nowhere/config.yaml"), SystemClock())
    assert str(caught.value) == "nowhere/config.yaml: error: no such file"


def test_a_file_that_may_not_be_read_is_told_with_the_systems_reason() -> None:
    with pytest.raises(InvalidConfig) as caught:
        load(Path("/proc/1/mem" if Path("/proc/1/mem").exists() else "/dev/mem"), SystemClock())
    assert str(caught.value).partition(": error: ")[2] in {"Permission denied", "Input/output error", "Operation not permitted"}


def test_a_name_that_no_file_can_have_is_told_with_the_systems_reason() -> None:
    with pytest.raises(InvalidConfig) as caught:
        load(Path("a" * 300), SystemClock())
    assert str(caught.value) == f"{'a' * 300}: error: File name too long"


def test_a_byte_order_mark_does_not_matter() -> None:
    assert loaded(b"\xef\xbb\xbf" + VALID.encode()).functions.keys() == {"f"}


@pytest.mark.parametrize("line_break", ["\r\n", "\r"])
def test_lines_are_counted_whatever_ends_them(line_break: str) -> None:
    assert message((VALID + "zebra: 1\n").replace("\n", line_break)).startswith("config.yaml:4:1: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\n\tb: 2\n", "2:1: error: a tab is not allowed here: use spaces"),
        ("a: @b\n", '1:4: error: a value cannot begin with "@": put it in quotes'),
        (
            "a: b: c\n",
            '1:5: error: no key can end here: quote the value, or look above for a missing ":" or a missing space behind one',
        ),
        ("a: 1\nb\nc: 1\n", '2:1: error: a key and ":" are expected here'),
        ('a: "b" c\n', "1:8: error: text after the end of the value: put all of it in quotes"),
        ("a:\n    b: 1\n  c: 2\n", "3:3: error: the indentation fits no block above"),
        ("a: - b\n", '1:4: error: a list cannot begin here: put "-" on a line of its own, indented'),
        ("a: [1,\n  2\n", '1:4: error: this bracket is never closed: "]" is missing'),
        ("a: [1, 2\nb: 3\n", '2:2: error: the bracket of line 1 is still open: "," or "]" is expected here'),
        ("a: {b: ${C}}\n", '1:9: error: within brackets a variable needs quotes: "${NAME}"'),
        ("a: [\n", "2:1: error: a bracket is never closed"),
        ("a: 'b\n", "1:4: error: this quote is never closed"),
        ('a: "\\d"\n', '1:6: error: an escape that YAML does not know: double the "\\", or use single quotes'),
        ("a: \x07\n", "1:4: error: YAML does not allow the character U+0007"),
        ('a: "\\UFFFFFFFF"\n', "error: not YAML: an escape names a character that does not exist"),
        ("a: 1\n---\nb: 1\n", '2:1: error: a second document begins here ("---"): one file holds one'),
        (
            "a: !!python/object:os.system x\n",
            '1:4: error: tags ("!" and "!!") are not supported: write the plain value',
        ),
        ("a: !secret x\n", '1:4: error: tags ("!" and "!!") are not supported: write the plain value'),
        ("a: &a {b: 1}\nc: {<<: *a}\n", '2:5: error: merge keys ("<<") are not supported: write the keys out'),
        ("? [1]\n: 2\n", "1:3: error: a key must be plain text"),
        ("a: *b\n", "1:4: error: no anchor of this name comes before this alias"),
        ("a: &b [*b]\n", "1:8: error: this alias stands within what it stands for"),
        ("[" * 50_000, "1:51: error: nested more than 50 levels deep"),
        ("- " * 50_000, "1:101: error: nested more than 50 levels deep"),
        ("a: &a [" + "*a, " * 200 + "]\n", "1:8: error: this alias stands within what it stands for"),
        ("a: &a 1\nb: [" + "*a, " * 200 + "]\n", "2:401: error: more than 100 anchors and aliases"),
        ("".join(f"k{i}: 1\n" for i in range(30_000)), "25000:9: error: more than 50000 values in one file"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_text_that_cannot_be_read_is_explained_at_its_place(text: str, expected: str) -> None:
    assert expected in message(text).splitlines()[0]


def test_aliases_count_as_what_they_stand_for() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))
    assert "aliases stand for more than any configuration needs" in message(bomb)
    tower = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [[[[[[*a{i - 1}]]]]]]\n" for i in range(1, 10))
    assert "aliases stand for more than any configuration needs" in message(tower)


def test_an_alias_stands_for_its_value() -> None:
    text = (
        "functions:\n"
        "  a: &a {executor: inline, handler: app.handler, timeout: &t 7}\n"
        "  b: *a\n"
        "  c: {executor: inline, handler: app.handler, timeout: *t}\n"
        "event_source_mappings: []\n"
    )
    assert [function.timeout for function in loaded(text).functions.values()] == [7, 7, 7]


def test_duplicate_keys_are_refused_wherever_they_are() -> None:
    text = (
        VALID.replace("handler: app.handler", "handler: app.handler, handler: b.c") + "log: {level: info}\nlog: {level: debug}\n"
    )
    assert [line for line in message(text).splitlines() if "error" in line] == [
        'config.yaml:2:65: error: duplicate key "handler", first at config.yaml:2:43',
        'config.yaml:5:1: error: duplicate key "log", first at config.yaml:4:1',
    ]


@pytest.mark.parametrize(
    "written",
    [
        "NO",
        "yes",
        "off",
        "1:30",
        "0644",
        "1_000",
        "1.10",
        "2026-01-01",
        "0x1F",
        "1e3",
        "null",
        "true",
        "~",
        "=",
        ".inf",
        "9" * 5000,
    ],
)
def test_what_stands_below_environment_stays_as_it_is_written(written: str) -> None:
    assert environment(written) == written


@pytest.mark.parametrize(
    ("written", "meant"), [("'a'", "a"), ('"a\\tb"', "a\tb"), ("''", ""), ("a b", "a b"), ('"$${HOME}"', "${HOME}")]
)
def test_quotes_and_escapes_below_environment_are_yamls(written: str, meant: str) -> None:
    assert environment(written) == meant


@pytest.mark.parametrize("written", ["NO", "0644", "1:30", "1_000", "0x1F", "0o17", "2026-01-01", "'100'", "true", "9" * 5000])
def test_what_is_no_integer_in_yaml_1_2_is_no_integer_here(written: str) -> None:
    assert '"concurrency_limit" must be an integer' in message(VALID + f"concurrency_limit: {written}\n")


@pytest.mark.parametrize(
    ("written", "number"), [("5", 5.0), ("+5", 5.0), ("0.5", 0.5), (".5", 0.5), ("5.", 5.0), ("1.5e1", 15.0)]
)
def test_numbers_are_read_as_yaml_1_2_has_them(written: str, number: float) -> None:
    assert loaded(VALID + f"drain_timeout: {written}\n").drain_timeout == number


def test_enormous_numbers_do_no_harm() -> None:
    assert loaded(VALID + f"drain_timeout: {'9' * 39}\n").drain_timeout == 1e39
    assert '"drain_timeout" must be a number' in message(VALID + f"drain_timeout: {'9' * 5000}\n")
    assert '"drain_timeout" must be a finite number' in message(VALID + "drain_timeout: 1e400\n")
    assert '"drain_timeout" must be' in message(VALID + "drain_timeout: -1e400\n")


@pytest.mark.parametrize("escape", ["\\0", "\\uD800"])
def test_an_escape_that_no_path_or_variable_can_hold_is_refused(escape: str) -> None:
    assert message(VALID + f'drain_timeout: "{escape}"\n').startswith(
        "config.yaml:4:16: error: this text holds a NUL or half a character"
    )
    assert "unknown key" in message(VALID + f'"{escape}": 1\n')


def test_a_variable_is_replaced_and_read_like_what_it_stands_in() -> None:
    assert loaded(VALID + "concurrency_limit: ${LIMIT}\n", LIMIT="7").concurrency_limit == 7
    assert environment('"${A}-${B:-b}-${C:-c}"', A="1.10", C="") == "1.10-b-c"
    assert '"concurrency_limit" must be an integer' in message(VALID + 'concurrency_limit: "${LIMIT}"\n', LIMIT="7")


def test_what_a_variable_holds_is_one_value_and_never_more_yaml() -> None:
    assert environment('"${A}"', A="x, Y: 1}\nb: ${HOME}") == "x, Y: 1}\nb: ${HOME}"


def test_an_empty_default_is_empty_text_not_null() -> None:
    assert environment('"${NONE:-}"') == ""
    assert '"function_name" must not be empty' in message(VALID.replace("[]", "\n  - function_name: ${NONE:-}"))


def test_a_variable_that_is_not_set_is_a_problem_at_its_place_and_only_there() -> None:
    assert message(VALID + "drain_timeout: ${DRAIN}\n") == (
        "config.yaml:4:16: error: environment variable DRAIN is not set: set it, or give a default, ${DRAIN:-default}\n"
        "     4 | drain_timeout: ${DRAIN}\n"
        "       |                ^"
    )


@pytest.mark.parametrize("written", ["${", "${}", "${1A}", "${A", "${A-b}", "${A:b}", "${a b}", "${${A}}"])
def test_a_variable_that_is_misspelt_is_a_problem(written: str) -> None:
    assert '"${" begins a variable, ${NAME} or ${NAME:-default}' in message(VALID + f"drain_timeout: '{written}'\n", A="1")


def test_keys_are_never_expanded() -> None:
    assert 'unknown key "${A}"' in message(VALID + "${A}: 1\n", A="log")
