"""The worker encodes what Lambda's own runtime client encodes, byte for byte, and refuses what that refuses, word for word."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from awslambdaric.lambda_runtime_exception import FaultException
from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller
from functions.returning import VALUES, Level, Liar, Point
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poller.executors import worker

if TYPE_CHECKING:
    from collections.abc import Callable

    Marshal = Callable[[Any], Any]

pytestmark = pytest.mark.rule("function.answer.encoding")


@pytest.fixture(params=["3.11", "3.12"])
def marshallers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Marshal, Marshal]:
    """Lambda's and ours, of a Python that escapes what is not ASCII and of one that does not."""
    monkeypatch.setenv("AWS_EXECUTION_ENV", f"AWS_Lambda_python{request.param}")
    monkeypatch.setattr(worker, "ASCII_ONLY", request.param == "3.11")
    theirs = LambdaMarshaller()
    return lambda value: theirs.marshal_response(value)[0], worker.encode


def outcome(marshal: Marshal, value: Any) -> Any:
    """What an encoder makes of a value, as bytes, or what it says against it."""
    try:
        encoded = marshal(value)
    except FaultException as error:
        return error.exception_type, error.msg
    except worker.Fault as error:
        return error.error_type, str(error)
    return encoded if isinstance(encoded, bytes) else encoded.encode()


@pytest.mark.parametrize("name", VALUES)
def test_every_type_is_encoded_as_awslambdaric_does(name: str, marshallers: tuple[Marshal, Marshal]) -> None:
    theirs, ours = marshallers
    assert outcome(ours, VALUES[name]) == outcome(theirs, VALUES[name])


@pytest.mark.parametrize("value", [b"", b"{}", b"\xff\x00"])
def test_bytes_are_answered_as_they_are(value: bytes, marshallers: tuple[Marshal, Marshal]) -> None:
    theirs, ours = marshallers
    assert ours(value) == theirs(value) == value


def test_half_a_surrogate_pair_that_cannot_be_sent_is_a_marshal_error_where_lambdas_runtime_would_crash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "ASCII_ONLY", False)
    with pytest.raises(worker.Fault, match="Unable to marshal response: 'utf-8' codec can't encode") as caught:
        worker.encode("\ud800")
    assert caught.value.error_type == "Runtime.MarshalError"
    assert json.loads(worker.failure(ValueError("\ud800"), "r"))["errorMessage"] == "?"


keys = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=3) | st.decimals(allow_nan=False)
leaves = keys | st.dates() | st.just(Liar(3)) | st.just(Level.HIGH) | st.complex_numbers()
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.tuples(inner, inner) | st.builds(Point, st.just(1), inner),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the marshallers keep nothing
@given(value=values)
def test_whatever_is_put_together_is_encoded_as_awslambdaric_does(marshallers: tuple[Marshal, Marshal], value: Any) -> None:
    theirs, ours = marshallers
    if not isinstance(value, bytes):
        assert outcome(ours, value) == outcome(theirs, value)
