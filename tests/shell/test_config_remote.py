"""Functions elsewhere in the configuration: secrets in headers, and who is asked as whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from poller.clock import SystemClock
from poller.config import Config, Connection, HttpFunctionConfig, InvalidConfig, LambdaFunctionConfig, load

HTTP = """\
functions:
  f:
    executor: http
    url: http://orders/
    headers:
      X-Plain: plain
      Authorization: Bearer hunter2
event_source_mappings: []
"""
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:orders"


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str) -> Config:
    Path("config.yaml").write_text(text)
    return load(Path("config.yaml"), SystemClock(), environ={})


def http(text: str) -> HttpFunctionConfig:
    function = loaded(text).functions["f"]
    assert isinstance(function, HttpFunctionConfig)
    return function


def aws(**fields: object) -> Config:
    function = LambdaFunctionConfig.model_validate({"executor": "lambda", "function_name": "orders"} | fields)
    defaults = {"region": "us-east-1", "endpoint_url": "http://aws:4566", "profile": "all"}
    return Config(aws=defaults, functions={"f": function}, event_source_mappings=())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "broken",
    [
        HTTP.replace("X-Plain", "Host"),
        HTTP.replace("Authorization: ", "Authorization: ["),
        HTTP.replace("Bearer hunter2", '"Bearer hunter2'),
        HTTP.replace("      Authorization: ", "      Auth orization: "),
        HTTP.replace("headers:\n      X-Plain: plain\n      Authorization: Bearer hunter2", "headers: {Host: hunter2}"),
        HTTP.replace("headers:\n", "Headers:\n").replace("Bearer ", "é "),
        HTTP.replace("headers:\n", "header:\n"),
    ],
)
def test_the_values_of_headers_are_not_shown_where_something_is_wrong(broken: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        loaded(broken)
    assert "hunter2" not in str(caught.value)


def test_the_values_of_headers_are_in_no_repr() -> None:
    made = http(HTTP)
    assert made.headers["Authorization"] == "Bearer hunter2"
    assert "hunter2" not in repr(made)


def test_headers_that_are_secrets_come_from_files_of_their_own() -> None:
    Path("token").write_text("Bearer hunter2\n")
    made = http(HTTP.replace("      Authorization: Bearer hunter2\n", "    headers_file: {Authorization: token}\n"))
    assert made.headers == {"X-Plain": "plain", "Authorization": "Bearer hunter2"}


def test_a_function_of_lambda_is_reached_with_its_own_settings_then_the_defaults() -> None:
    assert aws().function_connection("f") == Connection(region="us-east-1", endpoint_url="http://aws:4566", profile="all")
    own = {"region": "eu-west-3", "endpoint_url": "http://own:1", "profile": "own"}
    assert aws(**own).function_connection("f") == Connection(region="eu-west-3", endpoint_url="http://own:1", profile="own")


def test_an_arn_says_where_its_function_is() -> None:
    made = aws(function_name=ARN).function_connection("f")
    assert made is not None
    assert made.region == "eu-west-1"


def test_functions_that_no_service_runs_have_no_connection() -> None:
    assert loaded(HTTP).function_connection("f") is None
    assert loaded(HTTP).function_connection("nobody") is None
