"""A URL as a failure destination: what is posted, and whatever the other side answers, or does instead."""

from __future__ import annotations

import json
import socket
import ssl
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import pytest_asyncio
from support.build import records
from support.hostile import (
    Behaviour,
    Hostile,
    cut_short,
    hang_up,
    hostile,
    in_turn,
    nonsense,
    raw,
    reply,
    reset,
    silence,
    trickle,
)
from support.queueing import messages
from support.stage import MAPPING, SHARD

from poller import __version__
from poller.core.report import FailureReport, MessageReport, Shortened
from poller.destinations.http import HttpDestination, Target
from poller.errors import ConfigError, MappingError, PollerError, SourceGone, Unavailable
from poller.testing.doubles import SetClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

rule = pytest.mark.rule

NOW = 1_700_000_000.5
DOCUMENT = {"requestContext": {"requestId": "r1", "condition": "RetryAttemptsExhausted"}, "version": "1.0", "ü": "\u2028"}
STREAM = FailureReport(mapping=MAPPING, shard=SHARD, at=NOW, document=DOCUMENT, records=records(1, 2))
MESSAGE = MessageReport(mapping=MAPPING, at=NOW, body="x", attributes={}, records=messages(1), document=DOCUMENT, source="mails")
CERTIFICATE = Path(__file__).parents[1] / "data" / "tls" / "certificate.pem"


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Hostile]:
    async with hostile() as running:
        running.then(reply(202))
        yield running


def to(server: Hostile, *, payload: bool = False, **target: Any) -> HttpDestination:
    return HttpDestination(Target(url=f"{server.url}/failed", **target), SetClock(time=NOW), include_payload=payload)


async def error_of(server: Hostile, answer: Behaviour, **target: Any) -> PollerError:
    """What one answer is taken for. It is asked for once, whatever it is."""
    server.then(answer)
    with pytest.raises(PollerError) as caught:
        await to(server, **target).send(STREAM)
    assert len(server.requests) == 1
    return caught.value


# ------------------------------------------------------------------------------------------------------------- what is posted


@rule("stream.destination.http")
async def test_the_document_is_posted_as_json_with_a_key_that_follows_from_what_was_given_up(server: Hostile) -> None:
    destination = to(server, headers={"Authorization": "Bearer hunter2"})
    assert await destination.send(STREAM) is None
    (request,) = server.requests
    assert request.line == "POST /failed HTTP/1.1"
    assert json.loads(request.body) == DOCUMENT
    assert list(json.loads(request.body)) == list(DOCUMENT)
    assert "hunter2" not in repr(Target(url="http://a/", headers={"Authorization": "hunter2"}))
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == f"poller/{__version__}"
    assert request.headers["authorization"] == "Bearer hunter2"
    assert str(UUID(request.headers["idempotency-key"])) == request.headers["idempotency-key"]
    assert destination.kind == "http"


@rule("stream.destination.http")
async def test_a_report_that_is_sent_again_has_the_same_key_and_no_other_report_has(server: Hostile) -> None:
    others = (replace(STREAM, at=NOW + 1), replace(STREAM, records=records(1)), replace(STREAM, records=()), MESSAGE)
    for report in (STREAM, STREAM, *others):
        await to(server).send(report)
    first, again, *rest = [request.headers["idempotency-key"] for request in server.requests]
    assert first == again
    assert len({first, *rest}) == 5


@rule("stream.destination.payload")
async def test_the_payload_goes_along_where_it_is_wanted(server: Hostile) -> None:
    assert await to(server, payload=True).send(STREAM) is None
    told = server.requests[-1].json()
    assert [each["n"] for each in json.loads(told.pop("payload"))["Records"]] == [1, 2]
    assert told == DOCUMENT


@rule("queue.destination.document")
async def test_a_message_of_a_queue_goes_with_its_payload_whatever_is_wanted(server: Hostile) -> None:
    await to(server).send(MESSAGE)
    told = server.requests[-1].json()
    assert len(json.loads(told.pop("payload"))["Records"]) == 1
    assert told == DOCUMENT


@rule("stream.destination.payload")
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_is_refused_with_its_payload_is_posted_without_and_says_how_large_it_was(server: Hostile, status: int) -> None:
    server.then(in_turn(reply(status, b"too large", connection="close"), reply(200)))
    shortened = await to(server, payload=True).send(STREAM)
    whole, short = (request.json() for request in server.requests)
    assert shortened == Shortened(size=len(whole["payload"]))
    assert short == {**DOCUMENT, "payload": None, "payloadSize": len(whole["payload"])}
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 1


async def test_a_message_is_never_posted_without_its_payload(server: Hostile) -> None:
    server.then(reply(413))
    with pytest.raises(Unavailable):
        await to(server, payload=True).send(MESSAGE)
    assert len(server.requests) == 1


# ------------------------------------------------------------------------------------------------------------ what is answered


@pytest.mark.parametrize("status", [200, 201, 204])
async def test_any_2xx_says_that_it_has_the_report(server: Hostile, status: int) -> None:
    server.then(reply(status))
    assert await to(server).send(STREAM) is None


@rule("stream.destination.http")
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "other"), (401, "auth"), (403, "auth"), (408, "timeout"), (409, "other"), (413, "other"), (429, "throttled"),
        (500, "server"), (502, "server"), (503, "server"), (504, "timeout"), (599, "server"),
    ],
)  # fmt: skip
async def test_other_answers_are_tried_again(server: Hostile, status: int, kind: str) -> None:
    error = await error_of(server, reply(status, b"<h1>oh\n no</h1>"))
    assert isinstance(error, Unavailable)
    assert (error.kind, error.retry_after) == (kind, None)
    assert str(error) == f"POST: {server.url}/failed: HTTP {status} Whatever: <h1>oh no</h1>"


@pytest.mark.parametrize(("header", "pause"), [("7", 7.0), ("Fri, 31 Dec 2100 23:59:59 GMT", 300.0), ("soon", None)])
async def test_retry_after_is_told(server: Hostile, header: str, pause: float | None) -> None:
    error = await error_of(server, reply(503, retry_after=header))
    assert isinstance(error, Unavailable)
    assert error.retry_after == pause


@pytest.mark.parametrize("status", [404, 410])
async def test_a_url_where_nothing_is_is_said_to_be_gone(server: Hostile, status: int) -> None:
    error = await error_of(server, reply(status, b"no such hook"))
    assert isinstance(error, SourceGone)
    assert f"HTTP {status} Whatever: no such hook" in str(error)


@rule("stream.destination.http")
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_not_followed(server: Hostile, status: int) -> None:
    error = await error_of(server, reply(status, location="http://elsewhere.test/"), headers={"Authorization": "hunter2"})
    assert isinstance(error, MappingError)
    assert "redirects are not followed; it says that it is at http://elsewhere.test/" in str(error)
    assert "hunter2" not in str(error)


async def test_where_a_redirect_leads_is_said_without_its_parameters(server: Hostile) -> None:
    error = await error_of(server, reply(303, location="https://login.test/?ticket=hunter2#hunter3"))
    assert str(error).endswith("it says that it is at https://login.test/")


@pytest.mark.parametrize(
    ("value", "said"),
    [("hunter22", "bad: Basic ***, key"), ("Basic hunter22", "bad: ***, key"), ("key", "bad: Basic hunter22, key")],
)
async def test_what_an_answer_quotes_of_the_headers_is_not_told(server: Hostile, value: str, said: str) -> None:
    error = await error_of(server, reply(401, b"bad: Basic hunter22, key"), headers={"Authorization": value})
    assert str(error).endswith(said)


@pytest.mark.parametrize("end", [True, False], ids=["hangs up", "goes silent"])
async def test_the_status_counts_also_where_the_rest_of_the_answer_does_not_come(server: Hostile, end: bool) -> None:  # noqa: FBT001
    answer = raw(b"HTTP/1.1 413 Too Large\r\nretry-after: 7\r\ncontent-length: 9\r\n\r\n", end=end)
    error = await error_of(server, answer)
    assert isinstance(error, Unavailable)
    assert (error.kind, error.retry_after) == ("other", 7)
    assert str(error).endswith("/failed: HTTP 413 Too Large")


async def test_what_is_no_text_in_an_answer_can_still_be_told(server: Hostile) -> None:
    error = await error_of(server, raw(b"HTTP/1.1 500 F\xe9hler \x1b[2J\r\ncontent-length: 0\r\n\r\n"))
    assert str(error).endswith("HTTP 500 F?hler ?[2J")
    error = await error_of(server, raw(b"HTTP/1.1 302 Found\r\nlocation: /\xe9\r\ncontent-length: 0\r\n\r\n"))
    assert str(error).endswith(" /?")


@rule("stream.destination.payload")
async def test_a_large_payload_is_posted_whole(server: Hostile) -> None:
    large = records(1)[0]._replace(payload=json.dumps({"n": 1, "data": "x" * 2**20}).encode())
    assert await to(server, payload=True).send(replace(STREAM, records=(large,))) is None
    assert len(json.loads(server.requests[-1].json()["payload"])["Records"][0]["data"]) == 2**20


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [(hang_up, "connection"), (reset, "connection"), (nonsense, "connection"), (silence, "timeout")],
    ids=["hang up", "reset", "nonsense", "silence"],
)
async def test_no_usable_answer_is_unavailable(server: Hostile, behaviour: Behaviour, kind: str) -> None:
    error = await error_of(server, behaviour, timeout=0.3)
    assert isinstance(error, Unavailable)
    assert error.kind == kind


@pytest.mark.parametrize("behaviour", [cut_short(b"ok"), trickle], ids=["cut short", "trickle"])
async def test_what_a_2xx_says_beside_is_not_waited_for(server: Hostile, behaviour: Behaviour) -> None:
    server.then(behaviour)
    assert await to(server, timeout=5).send(STREAM) is None


async def test_nobody_who_listens_is_unavailable() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        target = Target(url=f"http://127.0.0.1:{held.getsockname()[1]}/")
        with pytest.raises(Unavailable) as caught:
            await HttpDestination(target, SetClock(time=NOW)).send(STREAM)
    assert caught.value.kind == "connection"


# --------------------------------------------------------------------------------------------------------- where nothing goes


@rule("stream.destination.http")
@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "100.100.100.200"])
async def test_no_report_goes_to_a_metadata_service(host: str) -> None:
    target = Target(url=f"http://{host}/latest", allow_link_local=True)
    with pytest.raises(Unavailable, match="no request goes there"):
        await HttpDestination(target, SetClock(time=NOW)).send(STREAM)


async def test_certificates_are_looked_at() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_name("key.pem"))
    async with hostile(tls=context) as server:
        server.then(reply(200))
        with pytest.raises(Unavailable, match=r"certificate verify failed|self-signed certificate"):
            await to(server).send(STREAM)
        assert server.requests == []
        assert await to(server, ca_file=CERTIFICATE).send(STREAM) is None
    with pytest.raises(ConfigError, match="no certificates can be read"):
        HttpDestination(Target(url="https://a/", ca_file=Path(__file__)), SetClock(time=NOW))


async def test_the_environments_proxy_is_not_asked(server: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await to(server).send(STREAM) is None
