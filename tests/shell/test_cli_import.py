"""`poller import`: whole templates against what is expected of them, and what no template may do."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support.aws import WallClock

from poller.cli import main
from poller.templates.account import mapping
from poller.templates.fitting import fit
from poller.templates.reader import TemplateError, parse
from poller.templates.template import Surroundings, drafts

DATA = Path(__file__).parents[1] / "data" / "templates"
PLACE = ("--region", "eu-west-1", "--account", "111122223333", "--stack", "shop")
QUEUE = "arn:aws:sqs:eu-west-1:111122223333:q"


@pytest.mark.parametrize("name", ["sam.yaml", "cloudformation.json"])
def test_a_template_comes_out_as_expected(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(DATA)
    assert main(["import", name, *PLACE]) == 0
    out, err = capsys.readouterr()
    assert out == Path(name).with_suffix(".expected.yaml").read_text(encoding="utf-8")
    assert err.startswith("stdout: ")
    (tmp_path / "poller.yaml").write_text(out)
    assert main(["validate", str(tmp_path)]) == 0


def test_a_file_is_made_for_its_owner_and_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "poller.yaml"
    assert main(["import", str(DATA / "sam.yaml"), *PLACE, "-o", str(output)]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{output}: 4 functions, 6 mappings; 9 values to set, 7 things left out\n")
    assert output.stat().st_mode & 0o077 == 0
    config = yaml.safe_load(output.read_text())
    assert tmp_path / config["functions"]["orders-dev"]["code"] == tmp_path / os.path.relpath(DATA / "src/orders", tmp_path)
    assert main(["import", str(DATA / "sam.yaml"), "-o", str(output)]) == 2
    assert "it is not overwritten" in capsys.readouterr().err


def test_parameters_conditions_and_stacks_change_what_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--parameter", "Stage=prod", "--parameter", "DbPassword=hunter2", "--parameter", f"StreamArn={stream('x')}"]
    assert main(["import", str(DATA / "sam.yaml"), *PLACE, *options]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["functions"]["orders-prod"]["memory_size"] == 1024
    assert config["functions"]["orders-prod"]["environment"]["PASSWORD"] == "hunter2"
    by_name = {each["name"]: each for each in config["event_source_mappings"]}
    assert by_name["orders-prod-Other"]["event_source_arn"] == stream("x")
    assert by_name["orders-prod-Other"]["starting_position"] == "LATEST"
    assert by_name["Extra"]["batch_size"] == 3


def test_a_region_and_an_account_that_nobody_named_are_to_be_set(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    assert main(["import", str(DATA / "sam.yaml")]) == 0
    assert "# set this: the account (--account), the region (--region) are made up\n" in capsys.readouterr().out
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert main(["import", str(DATA / "sam.yaml"), "--account", "111122223333"]) == 0
    out = capsys.readouterr().out
    assert "arn:aws:sqs:eu-central-1:111122223333:mails-dev" in out
    assert "--region" not in out


def stream(name: str) -> str:
    return f"arn:aws:kinesis:eu-west-1:111122223333:stream/{name}"


def imported(resources: dict[str, Any], **sections: object) -> tuple[dict[str, Any], str]:
    """The configuration that a template comes to, and its text. It has been validated on the way."""
    template = parse(json.dumps({"Resources": resources, **sections}), "t")
    made = drafts(template, Surroundings(region="eu-west-1", account="111122223333"), Path("/t/template.yaml"), Path("/t"))
    page, _ = fit(*made, ("head",), WallClock())
    return yaml.safe_load(page.text), page.text


def source_mapping(**properties: object) -> dict[str, Any]:
    return {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"FunctionName": "f", **properties}}


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        ("f", "f"),
        ("f:live", "f"),
        ("123456789012:function:f", "f"),
        ("arn:aws:lambda:eu-west-1:111122223333:function:f", "f"),
        ("arn:aws:lambda:eu-west-1:111122223333:function:f:$LATEST", "f"),
    ],
)
def test_a_mapping_finds_its_function_however_it_is_called(called: str, expected: str) -> None:
    config, text = imported({"M": source_mapping(EventSourceArn=QUEUE, FunctionName=called)})
    assert config["event_source_mappings"][0]["function_name"] == expected
    assert list(config["functions"]) == [expected]
    assert ("version or alias live" in text) == (called == "f:live")


def test_names_that_are_taken_get_a_number() -> None:
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {"FunctionName": "f" * 64, "Runtime": "python3.13", "Handler": "a.b"},
    }
    mapping_of = {"EventSourceArn": QUEUE, "FunctionName": "f" * 64}
    config, _ = imported({"A": function, "B": function, "M": source_mapping(**mapping_of)})
    assert list(config["functions"]) == ["f" * 64, "f" * 62 + "-2"]
    assert config["event_source_mappings"][0]["function_name"] == "f" * 64


def test_globals_of_sam_are_merged_as_sam_does() -> None:
    function = {"Type": "AWS::Serverless::Function", "Properties": {"Handler": "a.b", "Environment": {"Variables": {"A": "own"}}}}
    common = {"Function": {"Runtime": "python3.12", "Timeout": 9, "Environment": {"Variables": {"A": "all", "B": "all"}}}}
    config, _ = imported({"F": function}, Globals=common)
    assert config["functions"]["F"]["environment"] == {"A": "own", "B": "all"}
    assert config["functions"]["F"]["timeout"] == 9


def test_a_template_without_mappings_is_an_empty_configuration() -> None:
    config, _ = imported({"Bucket": {"Type": "AWS::S3::Bucket"}})
    assert config == {"functions": {}, "event_source_mappings": []}


def test_a_mapping_as_an_account_lists_it_leaves_out_what_is_default() -> None:
    draft = mapping(
        {
            "UUID": "1d2e",
            "EventSourceMappingArn": "arn:aws:lambda:us-east-1:111111111111:event-source-mapping:1d2e",
            "EventSourceArn": "arn:aws:kinesis:us-east-1:111111111111:stream/s",
            "FunctionArn": "arn:aws:lambda:us-east-1:111111111111:function:f",
            "BatchSize": 100,
            "MaximumBatchingWindowInSeconds": 0,
            "ParallelizationFactor": 1,
            "StartingPosition": "LATEST",
            "BisectBatchOnFunctionError": False,
            "MaximumRecordAgeInSeconds": -1,
            "MaximumRetryAttempts": -1,
            "TumblingWindowInSeconds": 0,
            "FunctionResponseTypes": [],
            "DestinationConfig": {"OnFailure": {}},
            "State": "Enabled",
            "StateTransitionReason": "User action",
            "LastProcessingResult": "No records processed",
            "LastModified": 1764088000.0,
        }
    )
    assert draft.fields == {
        "name": "f-s",
        "event_source_arn": "arn:aws:kinesis:us-east-1:111111111111:stream/s",
        "function_name": "f",
        "batch_size": 100,
        "starting_position": "LATEST",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "it has no Resources"),
        ("a: 1", "it has no Resources"),
        ("Resources: []", "it has no Resources"),
        ("Resources: {a: [}", "t:1:17: expected the node content"),
        ("{" * 3000, "Expecting property name"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("Resources: " + "[" * 2000, "nested too deeply"),
        ("? [a]\n: b\nResources: {}", "unhashable"),
    ],
)
def test_what_is_no_template_is_refused_in_a_line(text: str, expected: str) -> None:
    with pytest.raises(TemplateError, match=expected) as caught:
        parse(text, "t")
    assert "\n" not in str(caught.value)


def test_aliases_that_stand_for_endless_values_are_refused() -> None:
    bomb = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]" for n in range(9))
    text = f"{bomb}\nResources: {{F: {{Type: AWS::Lambda::Function, Properties: {{Layers: *a8}}}}}}"
    with pytest.raises(TemplateError, match="more values than any template needs"):
        drafts(parse(text, "t"), Surroundings(), Path("/t/t.yaml"), Path("/t"))


def test_a_template_that_holds_itself_is_refused() -> None:
    text = "Resources: {F: {Type: AWS::Lambda::Function, Properties: &a {Layers: [*a]}}}"
    with pytest.raises(TemplateError, match="refers to itself without end"):
        drafts(parse(text, "t"), Surroundings(), Path("/t/t.yaml"), Path("/t"))


NAMES = st.sampled_from(
    ["Ref", "Fn::Sub", "Fn::Join", "Fn::GetAtt", "Fn::If", "Fn::Select", "Fn::FindInMap", "Fn::Split", "a", "${b}"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 20_000) | st.floats(allow_nan=False) | st.text(max_size=8) | st.just(QUEUE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=5,
)
SETTINGS = (
    *("EventSourceArn", "FunctionName", "BatchSize", "StartingPosition", "MaximumRetryAttempts", "FilterCriteria"),
    *("DestinationConfig", "Enabled", "Tags", "MaximumBatchingWindowInSeconds", "Unheard", "FunctionResponseTypes"),
)
FUNCTION = ("FunctionName", "Handler", "Runtime", "CodeUri", "Code", "Timeout", "MemorySize", "Environment", "Layers", "Events")


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(SETTINGS), VALUES, max_size=6),
    st.dictionaries(st.sampled_from(FUNCTION), VALUES, max_size=6),
    st.sampled_from(["AWS::Lambda::Function", "AWS::Serverless::Function"]),
)
def test_whatever_stands_in_a_template_what_comes_out_is_valid(
    settings_: dict[str, Any], function: dict[str, Any], kind: str
) -> None:
    resources = {
        "F": {"Type": kind, "Properties": function},
        "M": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": settings_},
    }
    config, _ = imported(resources)
    assert set(config) == {"functions", "event_source_mappings"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "give either a TEMPLATE or --from-aws"),
        (["t.yaml", "--from-aws"], "give either a TEMPLATE or --from-aws"),
        (["t.yaml", "--profile", "p"], "--profile belongs to --from-aws"),
        (["t.yaml", "--environment"], "--environment belongs to --from-aws"),
        (["--from-aws", "--account", "111122223333"], "--account belongs to a template"),
    ],
)
def test_what_cannot_be_had_together_is_refused(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err


def test_a_template_that_cannot_be_read_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(tmp_path / "nothing.yaml")]) == 1
    assert capsys.readouterr().err == f"poller import: error: {tmp_path}/nothing.yaml: No such file or directory\n"
    assert main(["import", str(DATA / "sam.yaml"), "-o", "/no/such/folder/out.yaml"]) == 1
    assert "/no/such/folder/out.yaml: No such file or directory" in capsys.readouterr().err
