"""What an answer means: the tables of ReportBatchItemFailures, row by row."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.build import attempt, ids

from poller.core.model import Accepted, Errored, Failed, Outcome, Partial, Record, Refused, Returned, TooLarge, position
from poller.core.response import ERROR_TEXT_LIMIT, error_text, read

OF = attempt(101, 102, 103)

rule = pytest.mark.rule


def outcome(payload: bytes) -> Outcome:
    return read(Returned(payload), OF, report_batch_item_failures=True)


def reporting(*entries: object) -> bytes:
    return orjson.dumps({"batchItemFailures": entries})


SUCCESS = {
    "no answer": b"",
    "blanks": b" \n",
    "null": b"null",
    "an empty string": b'""',
    "an empty object": b"{}",
    "an empty list": b"[]",
    "an empty list of failures": b'{"batchItemFailures": []}',
    "null failures": b'{"batchItemFailures": null}',
}


@rule("stream.partial.success-answers")
@rule("queue.partial.success-answers")
@pytest.mark.parametrize("payload", SUCCESS.values(), ids=SUCCESS.keys())
def test_an_answer_that_reports_nothing_is_complete_success(payload: bytes) -> None:
    assert outcome(payload) == Accepted()


@rule("stream.partial.no-key-is-success")
@pytest.mark.parametrize(
    "payload",
    [
        b'{"statusCode": 200}',
        b'{"BatchItemFailures": [{"itemIdentifier": "101"}]}',
        b'{"body": {"batchItemFailures": [{"itemIdentifier": "101"}]}}',
        b'["batchItemFailures"]',
        b'[{"itemIdentifier": "101"}]',
        b'"batchItemFailures"',
        b"true",
        b"false",
        b"0",
        b"12.5",
    ],
)
def test_any_other_json_without_the_key_is_complete_success(payload: bytes) -> None:
    assert outcome(payload) == Accepted()


MALFORMED_ENTRIES = [
    pytest.param(
        {"itemIdentifier": ""}, marks=[rule("stream.partial.bad-identifier"), rule("queue.partial.bad-identifier")], id="empty"
    ),
    pytest.param(
        {"itemIdentifier": None}, marks=[rule("stream.partial.bad-identifier"), rule("queue.partial.bad-identifier")], id="null"
    ),
    pytest.param({"foo": 123}, marks=[rule("stream.partial.wrong-key"), rule("queue.partial.wrong-key")], id="wrong key"),
    pytest.param({"foo": None}, marks=[rule("stream.partial.wrong-key"), rule("queue.partial.wrong-key")], id="wrong key, null"),
    pytest.param({"foo": "notvalid"}, marks=[rule("queue.partial.wrong-key")], id="wrong key, text"),
    pytest.param({"ItemIdentifier": "101"}, marks=[rule("stream.partial.wrong-key")], id="key in another case"),
    pytest.param({}, marks=[rule("stream.partial.wrong-key"), rule("queue.partial.empty-entry")], id="no key"),
    pytest.param(
        {"itemIdentifier": 101},
        marks=[rule("stream.partial.unknown-identifier"), rule("queue.partial.numeric-identifier")],
        id="a number that is an id",
    ),
    pytest.param(
        {"itemIdentifier": "999"},
        marks=[rule("stream.partial.unknown-identifier"), rule("queue.partial.unknown-identifier")],
        id="unknown",
    ),
    pytest.param(
        {"itemIdentifier": "0101"}, marks=[rule("stream.partial.unknown-identifier")], id="the same number as another text"
    ),
    pytest.param({"itemIdentifier": " 101"}, marks=[rule("stream.partial.unknown-identifier")], id="with a blank"),
    pytest.param({"itemIdentifier": ["101"]}, marks=[rule("stream.partial.unknown-identifier")], id="a list"),
    pytest.param("101", marks=[rule("stream.partial.wrong-key")], id="the bare id"),
    pytest.param(None, marks=[rule("stream.partial.wrong-key")], id="nothing"),
]


@pytest.mark.parametrize("entry", MALFORMED_ENTRIES)
def test_an_entry_that_names_no_record_of_the_batch_is_complete_failure(entry: object) -> None:
    for payload in (reporting(entry), reporting({"itemIdentifier": "102"}, entry), reporting(entry, {"itemIdentifier": "102"})):
        assert isinstance(found := outcome(payload), Failed)
        assert found.kind == "batch_item"
        assert "names no record of the batch" in found.error


@rule("stream.partial.malformed")
@rule("queue.partial.not-json")
@pytest.mark.parametrize(
    "payload", [b"oops", b"{", b'{"batchItemFailures": [}', b"\xff\xfe", b"{'batchItemFailures': []}", b"NaN", b"[" * 3000]
)
def test_an_answer_that_is_no_json_is_complete_failure(payload: bytes) -> None:
    assert outcome(payload) == Failed("batch_item", "the answer is not JSON")


@rule("stream.partial.malformed")
@rule("queue.partial.not-a-list")
@pytest.mark.parametrize("failures", [{}, {"itemIdentifier": "101"}, "101", "", 0, 1, False, True])
def test_failures_that_are_no_list_are_complete_failure(failures: object) -> None:
    assert outcome(orjson.dumps({"batchItemFailures": failures})) == Failed("batch_item", "batchItemFailures is not a list")


@rule("queue.partial.valid-identifiers")
@pytest.mark.parametrize("named", [["101"], ["102"], ["103", "101"], ["102", "102"], ["101", "102", "103"]])
def test_valid_identifiers_are_a_partial_failure_of_just_those(named: list[str]) -> None:
    payload = reporting(*({"itemIdentifier": name} for name in named))
    assert outcome(payload) == Partial(frozenset(named))


def test_what_else_stands_in_an_answer_does_not_matter() -> None:
    payload = b'{"state": {"n": 1}, "batchItemFailures": [{"itemIdentifier": "102", "why": "no"}], "more": [1]}'
    assert outcome(payload) == Partial(frozenset({"102"}))


@rule("stream.partial.off")
@rule("queue.partial.off")
@pytest.mark.parametrize("payload", [reporting({"itemIdentifier": "101"}), reporting({"foo": 1}), b"oops", b"", b"{}"])
def test_the_answer_does_not_count_unless_partial_answers_are_on(payload: bytes) -> None:
    assert read(Returned(payload), OF, report_batch_item_failures=False) == Accepted()


@rule("stream.retry.non-retryable")
@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"errorType": "app.OrderError", "errorMessage": "no"}', "app.OrderError"),
        (b'{"errorType": "Error"}', "Error"),
        (b'{"errorType": 5, "errorMessage": "no"}', ""),
        (b'{"errorMessage": "no"}', ""),
        (b'["errorType"]', ""),
        (b'"errorType"', ""),
        (b"null", ""),
        (b"", ""),
        (b"Internal Server Error", ""),
    ],
)
def test_the_type_of_an_error_is_the_one_that_the_error_object_names(payload: bytes, expected: str) -> None:
    outcome = read(Errored("function_error", payload), OF, report_batch_item_failures=False)
    assert isinstance(outcome, Failed)
    assert outcome.error_type == expected


@rule("stream.retry.non-retryable")
def test_a_time_out_has_the_same_type_where_its_error_object_names_none() -> None:
    payload = b'{"errorMessage": "2024-01-01T00:00:00.000Z 8a0d Task timed out after 3.00 seconds"}'
    outcome = read(Errored("timeout", payload), OF, report_batch_item_failures=False)
    assert isinstance(outcome, Failed)
    assert outcome.error_type == "Sandbox.Timedout"


@rule("stream.partial.exception")
@rule("queue.partial.exception")
@pytest.mark.parametrize("kind", ["function_error", "timeout", "crash", "oom"])
@pytest.mark.parametrize("on", [True, False])
def test_a_function_that_did_not_return_has_failed_for_the_whole_batch(kind: str, *, on: bool) -> None:
    payload = b'{"errorType": "ValueError", "errorMessage": "no", "batchItemFailures": []}'
    answer = Errored(kind, payload)  # type: ignore[arg-type]  # the literals of the parameter list
    assert read(answer, OF, report_batch_item_failures=on) == Failed(kind, "ValueError: no", "ValueError")  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize("on", [True, False])
def test_an_event_that_was_too_large_is_a_failure_to_invoke(*, on: bool) -> None:
    found = read(TooLarge(6291457), OF, report_batch_item_failures=on)
    assert found == Failed("invoke_error", "the event of 6291457 bytes is too large for the function")


@pytest.mark.parametrize("on", [True, False])
def test_a_refusal_stays_a_refusal(*, on: bool) -> None:
    refused = Refused("throttled", 3.0, "busy")
    assert read(refused, OF, report_batch_item_failures=on) is refused


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b'{"errorMessage": "Handler fails", "errorType": "Exception"}', "Exception: Handler fails"),
        (b'{"errorType": "E", "errorMessage": "one\\n  two\\tthree"}', "E: one two three"),
        (b'{"errorMessage": "no type"}', '{"errorMessage": "no type"}'),
        (b'"just text"', '"just text"'),
        (b"[]", "[]"),
        (b"null", "null"),
        (b"7", "7"),
        (b"not\njson \xff", "not json \N{REPLACEMENT CHARACTER}"),
        (b"", ""),
    ],
)
def test_an_error_fits_on_one_line(payload: bytes, text: str) -> None:
    assert error_text(payload) == text


@given(
    st.binary(max_size=2000)
    | st.text(max_size=2000).map(lambda text: json.dumps({"errorType": "E", "errorMessage": text}).encode())
)
def test_an_error_is_one_short_line_whatever_the_function_sent(payload: bytes) -> None:
    text = error_text(payload)
    assert len(text) <= ERROR_TEXT_LIMIT
    assert "\n" not in text
    text.encode()  # a log can write it


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(ids(OF.records)),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["itemIdentifier", "batchItemFailures", "x"]), inner)
    ),
    max_leaves=12,
)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_answer_breaks_the_reader_and_a_partial_outcome_names_records_of_the_batch(payload: bytes) -> None:
    found = outcome(payload)
    assert isinstance(found, (Accepted, Partial, Failed))
    if isinstance(found, Partial):
        assert found.failed
        assert found.failed <= set(ids(OF.records))


@given(st.lists(JSON, max_size=4))
def test_failures_are_partial_exactly_if_each_entry_names_a_record(entries: list[object]) -> None:
    def names(entry: object) -> bool:
        return isinstance(entry, dict) and entry.get("itemIdentifier") in ids(OF.records)

    found = outcome(json.dumps({"batchItemFailures": entries}).encode())
    expected = Accepted if not entries else Partial if all(map(names, entries)) else Failed
    assert type(found) is expected


def test_the_identifier_is_the_records_own_spelling_of_its_sequence_number() -> None:
    padded = Record(id="00042", position=position("00042"), arrived_at=0.0, payload=b"{}")
    of = attempt(1)
    of = type(of)(records=(padded,))
    spelt = read(Returned(reporting({"itemIdentifier": "00042"})), of, report_batch_item_failures=True)
    assert spelt == Partial(frozenset({"00042"}))
