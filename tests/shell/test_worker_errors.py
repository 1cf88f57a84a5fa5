"""The worker words errors as Lambda's own runtime client does: the same JSON, key by key, frame by frame."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from awslambdaric import bootstrap
from awslambdaric.lambda_context import LambdaContext
from awslambdaric.lambda_runtime_exception import FaultException
from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller

from poller.executors import payloads, worker

FUNCTIONS = Path(__file__).parent.parent / "functions"
REQUEST_ID = "8f5c4d0e-5d0f-4f0e-8a55-0c4ab1c0ffee"
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:f"
FACTS = ("f", "$LATEST", "256", "/aws/lambda/f", "stream")


class TheirDaemon:
    """Takes what awslambdaric would send to Lambda."""

    def __init__(self) -> None:
        self.marshaller = LambdaMarshaller()
        self.answers: list[tuple[str, str]] = []

    def post_invocation_result(self, _request_id: str, result: str, _content_type: str, _invocation_id: object) -> None:
        self.answers.append(("R", result))

    def post_invocation_error(self, _request_id: str, error: str, _fault: str, _invocation_id: object) -> None:
        self.answers.append(("E", error))


@pytest.fixture(autouse=True)
def functions_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FUNCTIONS))


def theirs(handler: str, event: bytes) -> tuple[str, str]:
    daemon = TheirDaemon()
    function = bootstrap._get_handler(handler)
    bootstrap.handle_event_request(
        daemon, function, REQUEST_ID, event, "application/json", None, None, ARN, 0, None, bootstrap.StandardLogSink()
    )
    return daemon.answers[0]


def ours(handler: str, event: bytes) -> tuple[str, str]:
    context = worker.Context(worker.Call(REQUEST_ID, 0.0, ARN), FACTS)
    kind, payload = worker.invoke(worker.load(handler), event, context)
    return kind.decode(), payload.decode()


@pytest.mark.rule("function.error.exception")
@pytest.mark.parametrize(
    "handler",
    [
        "plain",
        "without_text",
        "own",
        "deeper",
        "chained",
        "grouped",
        "endless",
        "from_code_without_a_file",
        "multiline",
        "unserialisable",
        "fine",
    ],
)
def test_whatever_a_handler_raises_becomes_the_same_error_object(
    handler: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_EXECUTION_ENV", f"AWS_Lambda_python{sys.version_info[0]}.{sys.version_info[1]}")
    expected = theirs(f"raising.{handler}", b'{"a": [1]}')
    logged_by_them = capsys.readouterr().out
    assert ours(f"raising.{handler}", b'{"a": [1]}') == expected
    assert same_words(capsys.readouterr().out) == same_words(logged_by_them)


@pytest.mark.parametrize("handler", ["wrong_signature", "not_callable"])
def test_a_handler_that_cannot_be_called_shows_the_runtimes_frame_for_want_of_another(handler: str) -> None:
    expected, error = (json.loads(of(f"raising.{handler}", b"1")[1]) for of in (theirs, ours))
    assert len(expected.pop("stackTrace")) == len(error.pop("stackTrace")) == 1
    assert error == expected


def same_words(logged: str) -> list[str]:
    """Lambda glues the lines of an error with carriage returns and indents them with other spaces; we do not."""
    return [line.strip() for line in re.split("[\r\n]", logged.replace("\u00a0", " ")) if line.strip()]


@pytest.mark.parametrize("event", [b"", b"{", b"[1,]", b"{'a': 1}", b"nul", b"\xff", b'"\x01"', b"1 2", b"NaN", b"Infinity"])
def test_an_event_that_is_no_json_is_refused_with_the_same_type_of_error(event: bytes) -> None:
    their_kind, their_error = theirs("raising.fine", event)
    our_kind, our_error = ours("raising.fine", event)
    assert our_kind == their_kind == "E"
    expected = json.loads(their_error)
    error = json.loads(our_error)
    assert list(error) == list(expected)
    prefix = "Unable to unmarshal input: "
    assert expected.pop("errorMessage").startswith(prefix)
    assert error.pop("errorMessage").startswith(prefix)
    assert error == expected


@pytest.mark.parametrize(
    "event",
    [
        b"1",
        b" [1.5, -0.0, 1e400, null, true] ",
        '{"é": "\\ud83d\\ude00\\ud800"}'.encode(),
        b'{"a":1,"a":2}',
        b"123456789012345678901234567890",
    ],
)
def test_every_json_event_is_read_alike(event: bytes) -> None:
    assert repr(worker.decode(event)) == repr(LambdaMarshaller().unmarshal_request(event))


@pytest.mark.rule("function.error.handler")
@pytest.mark.parametrize(
    "handler",
    ["", "nodot", "x.", "missing.handler", "raising.missing", "sys.exit", "time.sleep", "raising/x.y", "folder/missing.x"],
)
def test_a_bad_handler_name_is_refused_in_the_same_words(handler: str) -> None:
    with pytest.raises(FaultException) as expected:
        bootstrap._get_handler(handler)
    with pytest.raises(worker.Fault) as fault:
        worker.load(handler)
    said = (fault.value.error_type, str(fault.value), fault.value.trace)
    assert said == (expected.value.exception_type, expected.value.msg, expected.value.trace or [])


def test_the_context_has_everything_that_lambdas_has(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(worker.FACTS, FACTS, strict=True):
        monkeypatch.setenv(f"AWS_LAMBDA_{name}", value)
    theirs = LambdaContext(REQUEST_ID, None, None, 0, ARN, None)
    ours = worker.Context(worker.Call(REQUEST_ID, 0.0, ARN), FACTS)
    public = [name for name in dir(theirs) if not name.startswith("_")]
    assert [name for name in dir(ours) if not name.startswith("_")] == public
    for name in public:
        if name == "identity":
            assert vars(ours.identity) == {name: getattr(theirs.identity, name) for name in theirs.identity.__slots__}
        elif callable(getattr(theirs, name)):
            assert name in {"log", "w3c", "get_remaining_time_in_millis"}
        else:
            assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.w3c() == theirs.w3c()


@pytest.mark.rule("function.context.remaining-time")
@pytest.mark.parametrize(("now", "left"), [(100.0, 1500), (101.4999, 1), (101.5, 0), (1000.0, 0)])
def test_the_remaining_time_counts_down_to_zero_and_no_further(now: float, left: int) -> None:
    context = worker.Context(worker.Call(REQUEST_ID, 101.5, ARN), FACTS, lambda: now)
    assert context.get_remaining_time_in_millis() == left


def test_an_exception_that_cannot_say_what_it_is_still_has_its_type() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    error = json.loads(worker.failure(Mute(), REQUEST_ID))
    assert (error["errorType"], error["errorMessage"]) == ("Mute", "")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (0, "Runtime exited without providing a reason"),
        (1, "Runtime exited with error: exit status 1"),
        (-9, "Runtime exited with error: signal: killed"),
        (-11, "Runtime exited with error: signal: segmentation fault"),
        (-15, "Runtime exited with error: signal: terminated"),
        (-6, "Runtime exited with error: signal: aborted"),
    ],
)
def test_the_end_of_a_process_is_worded_as_lambda_words_it(status: int, reason: str) -> None:
    error = json.loads(payloads.exited(REQUEST_ID, status))
    assert error == {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {REQUEST_ID} Error: {reason}"}
