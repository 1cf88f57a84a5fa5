"""Executors that other packages bring: how they are found, what they are told, and what is said where something is wrong."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, get_args

import pytest

from poller.check.finding import Subject
from poller.check.functions import ask_plugin
from poller.clock import SystemClock
from poller.config import InvalidConfig, PluginFunctionConfig, load
from poller.config import plugin_function as finding
from poller.config.functions import FunctionConfig, InlineFunctionConfig
from poller.errors import ConfigError
from poller.plugins import OWN_KEYS, PluginFunction, strangers
from poller.testing.doubles import RecordedEvents, SetClock
from poller.wiring import Worker, executor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Install = Callable[..., None]

MAKES = "def make(function):\n    return Executor(function)\n"
EXECUTOR = """
class Executor:
    def __init__(self, function): self.function = function
    async def __aenter__(self): return self
    async def __aexit__(self, *exc_info): pass
    async def invoke(self, invocation): pass
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a package with an executor of that name, in a module of that source."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    finding.plugin.cache_clear()

    def install(name: str, source: str, *, package: str = "", value: str = "") -> None:
        package = package or f"with-{name}"
        module = package.replace("-", "_") + f"_{tmp_path.name}"
        (site / f"{module}.py").write_text(source)
        info = site / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[poller.executors]\n{name} = {value or module}\n")

    return install


def read(folder: Path, *lines: str) -> PluginFunctionConfig:
    """The only function of a configuration."""
    path = folder / "poller.yaml"
    path.write_text("functions:\n  f:\n" + "".join(f"    {line}\n" for line in lines) + "event_source_mappings: []\n")
    function = load(path, SystemClock()).functions["f"]
    assert isinstance(function, PluginFunctionConfig)
    return function


def problems(folder: Path, *lines: str) -> list[str]:
    """What is said about it: line, column, message."""
    with pytest.raises(InvalidConfig) as refused:
        read(folder, *lines)
    return [f"{each.place.line}:{each.place.column} {each.text}" for each in refused.value.problems]


def test_what_poller_does_not_read_itself_goes_to_the_plugin_as_plain_values(tmp_path: Path, install: Install) -> None:
    install("mine", MAKES)
    given = ("executor: mine", "timeout: 7", "MaximumConcurrency: 3", "level: 1.10", "hosts: [a, {b: null}]", "folder: x")
    function = read(tmp_path, *given, "environment: {V: 1.10}", "options: true")
    assert (function.executor, function.timeout, function.own_concurrency) == ("mine", 7, 3)
    assert function.options == {
        "level": 1.1,
        "hosts": ["a", {"b": None}],
        "folder": "x",
        "environment": {"V": "1.10"},
        "options": True,
    }
    assert function.folder == tmp_path
    assert function == read(tmp_path, *given, "environment: {V: 1.10}", "options: true")
    assert function != read(tmp_path, *given, "environment: {V: 1.11}", "options: true")


def test_no_option_is_shown_since_it_may_be_a_secret(tmp_path: Path, install: Install) -> None:
    install("secretive", MAKES)
    assert "hunter2" not in repr(read(tmp_path, "executor: secretive", "password: hunter2"))


def test_what_the_plugin_finds_wrong_is_said_with_its_place_beside_what_poller_finds(tmp_path: Path, install: Install) -> None:
    check = """
    def check(options, folder):
        yield (), f"needs a file {folder.name}"
        yield ("url",), 'missing key "url"'
        yield ("words", 1), 'an item of "words" must be text'
        yield ("usr",), 'unknown key "usr"'
    """
    install("strict", MAKES + check.replace("\n    ", "\n"))
    assert problems(tmp_path, "executor: strict", "timeout: -1", "words: [a, 2]", "usr: me") == [
        f"2:3 needs a file {tmp_path.name}",
        '2:3 missing key "url"',
        '4:14 "timeout" must be above 0',
        '5:16 an item of "words" must be text',
        '6:5 unknown key "usr"',
    ]


def test_an_executor_that_nobody_brings_is_refused_with_those_that_there_are(tmp_path: Path, install: Install) -> None:
    assert problems(tmp_path, "executor: proces") == [
        '3:15 "executor" must be process, inline, http or lambda (no plug-in is installed), did you mean "process"?'
    ]
    install("command", MAKES)
    assert problems(tmp_path, "executor: comand") == [
        '3:15 "executor" must be process, inline, http, lambda or command, did you mean "command"?'
    ]


@pytest.mark.parametrize(
    ("source", "value", "reason"),
    [
        ("import nothing_of_this_name", "", "cannot be loaded: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("raise SystemExit", "", "cannot be loaded: SystemExit"),
        ("def make(", "", "cannot be loaded: SyntaxError: '(' was never closed"),
        (MAKES, "json:missing", "cannot be loaded: AttributeError: module 'json' has no attribute 'missing'"),
        (MAKES, "json", "cannot be used: json has no function make"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_said_with_its_package(
    tmp_path: Path, install: Install, source: str, value: str, reason: str
) -> None:
    install("broken", source, value=value)
    (said,) = problems(tmp_path, "executor: broken")
    assert said.startswith(f'3:15 executor "broken" of package with-broken 1.0 {reason}')


@pytest.mark.parametrize("answer", ["1 / 0", "[1]", "None"])
def test_a_check_that_fails_is_said_and_not_raised(tmp_path: Path, install: Install, answer: str) -> None:
    install("unchecked", MAKES + f"def check(options, folder):\n    return {answer}\n")
    (said,) = problems(tmp_path, "executor: unchecked")
    assert said.startswith("3:15 the check of this plug-in fails: ")


def test_the_names_of_pollers_own_executors_are_taken(tmp_path: Path, install: Install) -> None:
    install("inline", MAKES, package="greedy")
    path = tmp_path / "own.yaml"
    path.write_text("functions: {f: {executor: inline, handler: app.handler}}\nevent_source_mappings: []\n")
    assert isinstance(load(path, SystemClock()).functions["f"], InlineFunctionConfig)
    assert problems(tmp_path, "executor: other") == [
        '3:15 the plug-in greedy 1.0 calls its executor "inline", as one of poller\'s own'
    ]


def test_one_name_in_two_packages_is_refused(tmp_path: Path, install: Install) -> None:
    install("twin", MAKES, package="castor")
    install("twin", MAKES, package="pollux")
    assert problems(tmp_path, "executor: twin") == [
        '3:15 more than one package has an executor "twin": uninstall castor 1.0 or pollux 1.0'
    ]


def test_a_configuration_without_plugins_looks_for_none(tmp_path: Path) -> None:
    """Reading what is installed takes longer than all the rest of `poller validate`."""
    (tmp_path / "poller.yaml").write_text("functions: {f: {executor: inline, handler: app.f}}\nevent_source_mappings: []\n")
    program = """if True:
        import sys
        from poller.cli import main
        status = main(["validate", "poller.yaml"])
        sys.exit(status or "email" in sys.modules)
    """
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60)


def worker(config: PluginFunctionConfig) -> Worker:
    return Worker(name="f", arn="arn", config=config, events=RecordedEvents(), clock=SetClock())


def test_the_plugin_makes_the_executor_of_what_it_needs_to_know(tmp_path: Path, install: Install) -> None:
    install("making", MAKES + EXECUTOR)
    config = read(tmp_path, "executor: making", "timeout: 7", "colour: red")
    about = worker(config)
    made = executor(about)
    assert made.function == PluginFunction(  # type: ignore[attr-defined]  # the executor above
        name="f",
        arn="arn",
        timeout=7,
        maximum_concurrency=10,
        folder=tmp_path,
        options={"colour": "red"},
        events=about.events,
        clock=about.clock,
    )


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def make(function):\n    raise KeyError('x')\n", "function f: executor failing cannot be made: KeyError('x')"),
        ("def make(function):\n    pass\n", "function f: what executor failing makes is no executor: NoneType"),
        ("from poller.plugins import ConfigError\ndef make(f):\n    raise ConfigError('no licence')\n", "no licence"),
    ],
)
def test_an_executor_that_cannot_be_made_stops_poller_as_a_wrong_configuration_does(
    tmp_path: Path, install: Install, source: str, reason: str
) -> None:
    install("failing", source)
    config = read(tmp_path, "executor: failing")
    with pytest.raises(ConfigError) as refused:
        executor(worker(config))
    assert str(refused.value) == reason


@pytest.mark.parametrize(
    ("entering", "said"),
    [
        ("return self", "ok: executor opening can be opened"),
        ("raise OSError('no route')", "failed: executor opening cannot be opened: OSError('no route')"),
    ],
)
async def test_check_opens_the_executor_and_closes_it(tmp_path: Path, install: Install, entering: str, said: str) -> None:
    install("opening", MAKES + EXECUTOR.replace("return self", entering))
    read(tmp_path, "executor: opening")
    config = load(tmp_path / "poller.yaml", SystemClock())
    (found,) = await ask_plugin("f", config, SetClock(), Subject("function f"))
    assert f"{found.level}: {found.text}" == said


def test_strangers_are_named_with_what_was_meant_pollers_own_keys_included() -> None:
    found = list(strangers({"command": 1, "comand": 1, "time_out": 1, "zzz": 1}, ("command",)))
    assert [(each.path, each.sentence) for each in found] == [
        (("comand",), 'unknown key "comand", did you mean "command"?'),
        (("time_out",), 'unknown key "time_out", did you mean "timeout"?'),
        (("zzz",), 'unknown key "zzz"'),
    ]


def test_the_keys_that_are_pollers_own_are_those_of_the_model() -> None:
    fields = PluginFunctionConfig.model_fields.items()
    assert sorted(OWN_KEYS) == sorted(name for name, field in fields if not field.exclude)


def test_the_names_that_are_taken_are_those_of_the_models() -> None:
    models = get_args(get_args(FunctionConfig)[0])
    names = [get_args(model.model_fields["executor"].annotation) for model in models if model is not PluginFunctionConfig]
    assert [name for (name,) in names] == list(finding.BUILT_IN)
