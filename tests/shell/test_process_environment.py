from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from poller.executors.launch import ProcessSpec, environment

FOLDER = Path("/tmp/poller-x")
DAEMON = {
    "PATH": "/usr/bin",
    "LANG": "de_DE.UTF-8",
    "LC_CTYPE": "C.UTF-8",
    "TZ": "Europe/Berlin",
    "HOME": "/home/daemon",
    "PYTHONPATH": "/daemon",
    "AWS_ACCESS_KEY_ID": "AKIA",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "token",
    "AWS_PROFILE": "admin",
    "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/daemon",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/token",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
    "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
    "AWS_LAMBDA_FUNCTION_NAME": "the daemon's own",
    "REDIS_URL": "redis://:secret@host",
    "LD_PRELOAD": "/lib/x.so",
}


def of(**options: Any) -> dict[str, str]:
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:orders"
    spec = ProcessSpec(
        **{"name": "orders", "arn": arn, "handler": "app.handler", "code": Path("/code"), "memory_size": 512, **options}
    )
    return environment(spec, DAEMON, FOLDER, "2026/01/02/[$LATEST]0")


def test_without_credentials_a_function_gets_lambdas_variables_and_the_daemons_path_and_language() -> None:
    reserved = {
        "_HANDLER": "app.handler",
        "LAMBDA_TASK_ROOT": "/code",
        "AWS_LAMBDA_FUNCTION_NAME": "orders",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/orders",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/02/[$LATEST]0",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    }
    seen = of()
    assert Path(seen.pop("LAMBDA_RUNTIME_DIR")).joinpath("worker.py").exists()
    assert seen == reserved | {
        "PATH": "/usr/bin",
        "LANG": "de_DE.UTF-8",
        "LC_CTYPE": "C.UTF-8",
        "HOME": str(FOLDER),
        "TMPDIR": str(FOLDER),
        "TZ": "UTC",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def test_inherited_credentials_are_the_daemons_home_and_its_aws_variables_but_not_where_it_runs() -> None:
    more = {name: value for name, value in of(credentials="inherit").items() if of().get(name) != value}
    assert more == {
        "HOME": "/home/daemon",
        **{
            name: DAEMON[name]
            for name in DAEMON
            if name.startswith("AWS_") and name not in {"AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME"}
        },
    }
    assert "AWS_EC2_METADATA_DISABLED" not in of(credentials="inherit")


def test_of_a_profile_a_function_is_told_the_name_and_the_files_and_none_of_the_daemons_own_credentials() -> None:
    seen, nothing = of(credentials="orders"), of()
    assert {name: seen[name] for name in seen if nothing.get(name) != seen[name]} == {
        "AWS_PROFILE": "orders",
        "AWS_CONFIG_FILE": "/home/daemon/.aws/config",
        "AWS_SHARED_CREDENTIALS_FILE": "/home/daemon/.aws/credentials",
    }
    assert set(nothing) <= set(seen)


def test_files_of_profiles_are_found_from_the_functions_folder_as_from_the_daemons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DAEMON, "AWS_CONFIG_FILE", "~/aws.ini")
    monkeypatch.setitem(DAEMON, "AWS_SHARED_CREDENTIALS_FILE", "keys")
    seen = of(credentials="orders")
    assert seen["AWS_CONFIG_FILE"] == "/home/daemon/aws.ini"
    assert seen["AWS_SHARED_CREDENTIALS_FILE"] == str(Path.cwd() / "keys")


def test_the_functions_own_variables_win_over_all_but_the_reserved_ones() -> None:
    wanted = {"TZ": "Asia/Tokyo", "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "own", "_HANDLER": "other.handler"}
    seen = of(environment=wanted)
    assert {name: seen[name] for name in wanted} == wanted | {"_HANDLER": "app.handler"}


@pytest.mark.parametrize("arn", ["", "orders", "arn:aws:lambda"])
def test_without_a_region_in_the_arn_there_is_none_in_the_environment(arn: str) -> None:
    assert "AWS_REGION" not in of(arn=arn)
