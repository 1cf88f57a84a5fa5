"""`poller validate`: all problems at once, for people, programs and workflows; at once in time, too."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from poller.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    Printed = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "config"
SAMPLES = sorted((ROOT / "config").glob("*.yaml"))
HEAVY = ("aiobotocore", "botocore", "redis", "aiohttp", "prometheus_client", "structlog", "asyncio", "email")
ROUNDS = 7
AS_MUCH_AS = 1.7
"""Times the import of pydantic with one small model, which nothing that uses pydantic can beat."""


@pytest.fixture
def validate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Printed:
    """Runs the command in the folder of the data: exit code, stdout, stderr."""
    monkeypatch.chdir(DATA)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["validate", *arguments])
        return code, *capsys.readouterr()

    return run


def test_json_says_each_problem_with_its_place_and_the_line_as_it_may_be_shown(validate: Printed) -> None:
    code, out, err = validate("mistakes.yaml", "--format", "json")
    said = json.loads(out)
    assert (code, err, said["file"], said["valid"]) == (78, "", "mistakes.yaml", False)
    assert len(said["problems"]) == 45
    assert said["problems"][1] == {
        "file": "mistakes.yaml",
        "line": 2,
        "column": 38,
        "severity": "error",
        "message": '"endpoint_url" must be a URL, http://HOST:PORT or https://HOST:PORT, without a password',
        "source": 'aws: {region: EU West, endpoint_url: "https://********@localhost:4566"}',
    }


def test_json_says_too_that_all_is_well(validate: Printed) -> None:
    path = str(ROOT / "config" / "queue.yaml")
    code, out, err = validate(path, "--format", "json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"file": path, "valid": True, "mappings": 3, "functions": 1, "problems": []}


def test_json_of_a_problem_of_the_whole_file_has_no_line(validate: Printed) -> None:
    code, out, _ = validate("nowhere.yaml", "--format", "json")
    assert code == 78
    assert json.loads(out)["problems"] == [
        {"file": "nowhere.yaml", "line": None, "column": None, "severity": "error", "message": "no such file", "source": None}
    ]


def test_github_gets_an_annotation_for_each_problem(validate: Printed) -> None:
    code, out, err = validate("mistakes.yaml", "--format", "github")
    lines = out.splitlines()
    assert (code, err, len(lines)) == (78, "", 45)
    assert all(re.fullmatch(r"::error file=mistakes\.yaml,line=\d+,col=\d+,title=poller::\S.*", line) for line in lines)
    assert lines[0].endswith('line=2,col=15,title=poller::"region" must be the name of a region, for example eu-west-1')


def test_github_takes_neither_a_percent_sign_nor_a_comma_for_its_own(validate: Printed, tmp_path: Path) -> None:
    path = tmp_path / "a,b:c%.yaml"
    path.write_text("store: {url: 'redis://'}\nfunctions: {}\nevent_source_mappings: []\n")
    _, out, _ = validate(str(path), "--format", "github")
    assert f"file={tmp_path}/a%2Cb%3Ac%25.yaml,line=1,col=14," in out
    assert "write %2540 for @" in out


def test_github_gets_no_annotation_where_all_is_well(validate: Printed) -> None:
    code, out, err = validate(str(ROOT / "config"), "--format", "github")
    assert (code, err, "::" in out) == (78, "", True)  # the samples are not one configuration: they define functions twice
    code, out, err = validate(str(ROOT / "config" / "fifo.yaml"), "--format", "github")
    assert (code, err) == (0, "")
    assert out.endswith("fifo.yaml: ok, 1 mapping, 1 function\n")
    assert "::" not in out


def test_an_unknown_format_is_wrong_usage(validate: Printed, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        validate("mistakes.yaml", "--format", "xml")
    assert caught.value.code == 2
    assert "invalid choice: 'xml'" in capsys.readouterr().err


def test_haste_leaves_no_trace_in_the_process(validate: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYDANTIC_DISABLE_PLUGINS", raising=False)
    validate("nowhere.yaml", "--format", "json")
    assert "PYDANTIC_DISABLE_PLUGINS" not in os.environ
    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "mine")
    validate("nowhere.yaml", "--format", "json")
    assert os.environ["PYDANTIC_DISABLE_PLUGINS"] == "mine"


# ---------------------------------------------------------------------------------------------------------------------- in time

MODULES = """
import json, sys
from poller.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["validate", "--help"], ["run", "--help"]]
    + [["validate", str(path)] for path in (*SAMPLES, DATA / "mistakes.yaml")]
    + [["validate", str(SAMPLES[0]), "--format", style] for style in ("json", "github")],
    ids=lambda arguments: "-".join(Path(each).name for each in arguments),
)
def test_help_and_validate_never_import_what_talks_to_the_world(arguments: list[str]) -> None:
    program = [sys.executable, "-c", MODULES, *arguments]
    ended = subprocess.run(
        program, cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=60, check=True
    )
    modules = set(json.loads(ended.stderr.splitlines()[-1]))
    searched = {"email"} if "mistakes.yaml" in arguments[-1] else set()  # for the executor that is none of ours
    assert modules & set(HEAVY) == searched
    assert ("pydantic" in modules) == ("--help" not in arguments)


@pytest.mark.thorough
def test_a_hundred_mappings_take_little_more_than_the_import_of_pydantic(tmp_path: Path) -> None:
    path = tmp_path / "hundred.yaml"
    path.write_text(hundred())
    bare = "from pydantic import BaseModel\nclass Model(BaseModel):\n    field: int"
    least, ours = [], []
    for _ in range(ROUNDS):
        least.append(cpu(sys.executable, "-c", bare))
        ours.append(cpu(sys.executable, "-m", "poller", "validate", str(path)))
    print(f"100 mappings: {min(ours):.3f} s of CPU; pydantic alone {min(least):.3f} s")
    assert min(ours) < AS_MUCH_AS * min(least)


def cpu(*command: str) -> float:
    """Seconds of CPU, user and system, of a whole process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, timeout=60, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def hundred() -> str:
    """Fifty streams and fifty queues with filters, in the form in which people write them."""
    stream = mapping_of("poller.yaml").replace("orders", "orders{0}").replace("function_name: orders{0}", "function_name: orders")
    queue = mapping_of("queue.yaml").partition("\n\n")[0].replace("mails", "mails{0}") + "\n"
    queue = queue.replace("function_name: mails{0}", "function_name: orders")
    head = (ROOT / "config" / "poller.yaml").read_text().partition(MAPPINGS)[0]
    return head + MAPPINGS + "".join(text.replace("{0}", str(i)) for i in range(50) for text in (stream, queue))


MAPPINGS = "event_source_mappings:\n"


def mapping_of(sample: str) -> str:
    return (ROOT / "config" / sample).read_text().partition(MAPPINGS)[2]
