"""What `poller check` makes of functions that run elsewhere."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.rie import served

from poller.check.finding import Subject
from poller.check.remote import ask_http, judge_lambda
from poller.config import HttpFunctionConfig, LambdaFunctionConfig

if TYPE_CHECKING:
    from aiohttp import web

CERTIFICATE = Path(__file__).parents[1] / "data" / "tls" / "certificate.pem"
ABOUT = Subject("function f")


async def answer(_: web.Request) -> web.Response:
    raise AssertionError("nobody is to be invoked")


async def found(url: str, **fields: Any) -> str:
    config = HttpFunctionConfig.model_validate({"executor": "http", "url": url} | fields)
    (finding,) = await ask_http(config, ABOUT)
    return f"{finding.level}: {finding.text}"


async def test_somebody_who_listens_is_not_asked_for_more() -> None:
    async with served(answer) as url:
        where = url.removeprefix("http://")
        assert await found(f"{url}/f") == f"ok: {where} takes connections (raw); it is not invoked"


async def test_nobody_who_listens_is_a_failure() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{held.getsockname()[1]}"
        assert (await found(f"http://{where}/f")).startswith(f"failed: no connection to {where}: ")


async def test_the_certificate_is_looked_at() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_name("key.pem"))
    async with served(answer, tls=context) as url:
        assert "certificate verify failed" in await found(url)
        assert (await found(url, ca_file=CERTIFICATE)).startswith("ok: ")
    assert "no certificates can be read from it" in await found(url, ca_file=Path(__file__))


async def test_a_name_that_leads_where_no_request_goes_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    place = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("169.254.169.254", 80))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [place])
    assert "169.254.169.254 belongs to the metadata service of a cloud" in await found("http://rebound.test/")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"Timeout": 30}, ["ok: its Timeout is 30 s"]),
        ({"Timeout": 60}, ["warning: timeout 30 is shorter than its own Timeout, 60 s: what still runs would be invoked again"]),
        ({"Timeout": 3, "State": "Active"}, ["ok: its Timeout is 3 s"]),
        ({"Timeout": 3, "State": "Pending"}, ["warning: its State is Pending: it gives no reason", "ok: its Timeout is 3 s"]),
        ({"State": "Failed", "StateReason": "no image"}, ["warning: its State is Failed: no image"]),
        ({}, []),
    ],
)
def test_a_function_of_lambda_is_judged_by_its_configuration(answer: dict[str, Any], expected: list[str]) -> None:
    config = LambdaFunctionConfig.model_validate({"executor": "lambda", "function_name": "f", "timeout": 30})
    assert [f"{each.level}: {each.text}" for each in judge_lambda(config, answer, ABOUT)] == expected
