"""Tumbling windows: where each begins, what a function is told of it, and which answers count."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.build import attempt, ids, record

from poller.core.envelope import envelope
from poller.core.memo import Memo, Window
from poller.core.model import Accepted, Attempt, Failed, Outcome, Partial, Record, Returned, ShardId
from poller.core.policy import StreamPolicy
from poller.core.response import read
from poller.core.windows import SILENCE, SKEW, STATE_LIMIT, Tumbling, fitting, moved_on, seen_until, state_of

rule = pytest.mark.rule

START = 1607497440.0
"""2020-12-09T07:04:00Z"""

MINUTES = Tumbling(
    seconds=120,
    shard=ShardId("shardId-000000000006"),
    stream_arn="arn:aws:kinesis:us-east-1:123456789012:stream/lambda-stream",
)
OPEN = Window(start=START, end=START + 120)


def arriving(*times: float) -> list[Record]:
    """Records that arrived so many seconds after START."""
    return [record(number, arrived_at=START + seconds) for number, seconds in enumerate(times, start=1)]


def runs(records: list[Record], window: Window | None = None) -> list[tuple[float, list[str]]]:
    """Start of each window, relative to START, and the ids of its records."""
    return [(window.start - START, ids(run)) for window, run in MINUTES.runs(records, window)]


# ------------------------------------------------------------------------------------------------------------------- boundaries


@rule("stream.windows.boundaries")
@pytest.mark.parametrize(("seconds", "start"), [(0, 0), (119.999, 0), (120, 120), (-0.001, -120), (3600, 3600)])
def test_a_window_begins_at_a_multiple_of_its_length(seconds: float, start: float) -> None:
    (of,) = arriving(seconds)
    assert MINUTES.at(of) == Window(start=START + start, end=START + start + 120)


@rule("stream.windows.boundaries")
@given(st.integers(1, 900), st.floats(0, 4e9))
def test_each_record_is_within_its_window_and_windows_do_not_overlap(seconds: int, arrived_at: float) -> None:
    window = Tumbling(seconds=seconds, shard=MINUTES.shard, stream_arn="").at(record(1, arrived_at=arrived_at))
    assert window.start <= arrived_at < window.end
    assert window.end - window.start == seconds
    assert math.fmod(window.start, seconds) == 0


@rule("stream.windows.one-window-a-batch")
def test_records_are_taken_apart_where_a_later_window_begins() -> None:
    assert runs(arriving(1, 119, 120, 121, 500)) == [(0, ["1", "2"]), (120, ["3", "4"]), (480, ["5"])]


@rule("stream.windows.late-record")
def test_a_record_from_before_the_open_window_is_in_the_open_one() -> None:
    assert runs(arriving(-1, 5), OPEN) == [(0, ["1", "2"])]
    assert runs(arriving(125, 119, 126)) == [(120, ["1", "2", "3"])]


def test_a_window_that_is_open_goes_to_its_own_end_whatever_windows_are_from_then_on() -> None:
    longer = Window(start=START, end=START + 300)
    assert runs(arriving(150, 299, 300), longer) == [(0, ["1", "2"]), (240, ["3"])]


@given(st.lists(st.floats(0, 1000), max_size=30), st.sampled_from([None, OPEN]))
def test_no_record_is_lost_and_windows_only_go_on(times: list[float], window: Window | None) -> None:
    some = arriving(*times)
    found = list(MINUTES.runs(some, window))
    assert [each for _, run in found for each in run] == some
    assert all(earlier.end <= later.start for (earlier, _), (later, _) in pairwise(found))
    assert all(run for _, run in found)


# ------------------------------------------------------------------------------------------------------------------- the event


@rule("stream.windows.event")
def test_the_event_of_a_window_key_for_key() -> None:
    window = Window(start=START, end=START + 120, state=b'{"1":282}')
    assert envelope([record(1)], MINUTES.tail(window)).decode() == (
        '{"Records":[{"n":1}],"window":{"start":"2020-12-09T07:04:00Z","end":"2020-12-09T07:06:00Z"},"state":{"1":282},'
        '"shardId":"shardId-000000000006","eventSourceARN":"arn:aws:kinesis:us-east-1:123456789012:stream/lambda-stream",'
        '"isFinalInvokeForWindow":false,"isWindowTerminatedEarly":false}'
    )


@rule("stream.windows.final")
@rule("stream.windows.oversized")
@pytest.mark.parametrize(("final", "early"), [(True, False), (True, True)])
def test_the_last_event_of_a_window_says_so_and_whether_it_comes_early(*, final: bool, early: bool) -> None:
    window = Window(start=START, end=START + 120, state=b'{"1":282}', final=final, early=early)
    event = orjson.loads(envelope([], MINUTES.tail(window)))
    assert event["Records"] == []
    assert event["state"] == {"1": 282}
    assert (event["isFinalInvokeForWindow"], event["isWindowTerminatedEarly"]) == (final, early)


@given(st.text(max_size=50), st.lists(st.text(max_size=20), max_size=4))
def test_the_size_of_a_window_is_known_before_its_event_is_made(text: str, payloads: list[str]) -> None:
    window = Window(start=START, end=START + 120, state=orjson.dumps({"text": text}))
    some = [record(number, payload=orjson.dumps(each)) for number, each in enumerate(payloads)]
    assert len(envelope(some, MINUTES.tail(window))) == len(envelope(some)) + MINUTES.overhead(window)


# ------------------------------------------------------------------------------------------------------------------- the answer


def outcome(payload: bytes, *, window: Window = OPEN, reports: bool = False) -> Outcome:
    of = Attempt(records=attempt(101, 102, 103).records, window=window)
    return read(Returned(payload), of, report_batch_item_failures=reports)


STATES = {
    "as it is": (b'{"state":{"n":1}}', b'{"n":1}'),
    "empty": (b'{"state":{}}', b"{}"),
    "with blanks": (b' { "state" : {"n": 1} , "x" : [1, {"state": 2}] } ', b'{"n": 1}'),
    "beside others": (b'{"a":null,"state":{"n":[1,2]},"batchItemFailures":[]}', b'{"n":[1,2]}'),
    "the last of two": (b'{"state":{"n":1},"state":{"n":2}}', b'{"n":2}'),
    "larger than a double can hold": (b'{"state":{"n":123456789012345678901234567890}}', b'{"n":123456789012345678901234567890}'),
    "a float as it was written": (b'{"state":{"n":1.10}}', b'{"n":1.10}'),
    "half a surrogate pair": (b'{"state":{"n":"\\ud800"}}', b'{"n":"\\ud800"}'),
    "its name in escapes": (b'{"\\u0073tate":{"n":1}}', b'{"n":1}'),
    "braces within texts": (b'{"x":"}{\\"","state":{"}":"{"}}', b'{"}":"{"}'),
    "not in ASCII": ('{"state":{"ü":"€"}}'.encode(), '{"ü":"€"}'.encode()),
}


@rule("stream.windows.state-goes-on")
@pytest.mark.parametrize(("payload", "state"), STATES.values(), ids=STATES.keys())
def test_the_state_of_an_answer_is_kept_as_the_text_that_it_was(payload: bytes, state: bytes) -> None:
    assert outcome(payload) == Accepted(state)


NO_STATES = {
    "nothing": b"",
    "null": b"null",
    "no JSON": b"{",
    "something behind it": b'{"state":{}}}',
    "not UTF-8": b'{"state":{"n":"\xff"}}',
    "not a number": b'{"state":{"n":NaN}}',
    "a list": b'[{"state":{}}]',
    "a text": b'"state"',
    "another name": b'{"State":{}}',
    "only deeper": b'{"answer":{"state":{}}}',
    "no state": b'{"batchItemFailures":[]}',
    "a null state": b'{"state":null}',
    "a list as state": b'{"state":[]}',
    "a text as state": b'{"state":"{}"}',
    "a number as state": b'{"state":5}',
    "nested too deeply": b'{"state":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@rule("stream.windows.state-is-demanded")
@rule("stream.windows.state-is-an-object")
@pytest.mark.parametrize("final", [False, True], ids=["a batch", "the final invocation"])
@pytest.mark.parametrize("payload", NO_STATES.values(), ids=NO_STATES.keys())
def test_an_answer_without_a_state_is_a_failure_of_the_function(payload: bytes, *, final: bool) -> None:
    window = Window(start=START, end=START + 120, final=final)
    failed = outcome(payload, window=window)
    assert isinstance(failed, Failed)
    assert failed.kind == "function_error"
    assert "state" in failed.error


def test_without_windows_no_state_is_asked_for() -> None:
    assert read(Returned(b"null"), attempt(1), report_batch_item_failures=False) == Accepted()
    assert read(Returned(b'{"state":{"n":1}}'), attempt(1), report_batch_item_failures=False) == Accepted()


@rule("stream.windows.partial")
def test_failed_records_are_reported_beside_the_state() -> None:
    payload = orjson.dumps({"state": {"n": 1}, "batchItemFailures": [{"itemIdentifier": "102"}]})
    assert outcome(payload, reports=True) == Partial(frozenset({"102"}), b'{"n":1}')
    assert outcome(payload) == Accepted(b'{"n":1}')  # and count only where they are asked for


@rule("stream.windows.partial")
def test_a_report_that_names_no_record_fails_the_batch_whatever_its_state() -> None:
    payload = orjson.dumps({"state": {"n": 1}, "batchItemFailures": [{"itemIdentifier": "9"}]})
    assert isinstance(outcome(payload, reports=True), Failed)


@rule("stream.windows.final")
def test_the_state_that_the_final_invocation_returns_is_dropped() -> None:
    window = Window(start=START, end=START + 120, final=True)
    assert outcome(b'{"state":{"n":1}}', window=window) == Accepted(None)


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9) | st.lists(st.booleans()), max_size=3))
def test_any_state_comes_back_as_it_was(state: dict[str, object]) -> None:
    for payload in (json.dumps({"x": state, "state": state}), json.dumps({"state": state, "y": 1}, ensure_ascii=False, indent=1)):
        kept = state_of(payload.encode())
        assert isinstance(kept, bytes)
        assert json.loads(kept) == state


# -------------------------------------------------------------------------------------------------------------- what follows it


@rule("stream.windows.state-goes-on")
@rule("stream.windows.partial")
def test_a_decision_names_the_state_from_then_on() -> None:
    policy, of = StreamPolicy(max_retries=1), attempt(1, 2, 3)
    assert policy.judge(of, Accepted(b'{"n":3}')).state == b'{"n":3}'
    assert policy.judge(of, Partial(frozenset({"2"}), b'{"n":1}')).state == b'{"n":1}'
    assert policy.judge(of, Partial(frozenset({"1"}), b'{"n":0}')).state is None  # nothing is done: it is tried again as it was


@rule("stream.windows.retry-as-of-then")
def test_a_failure_leaves_the_state_as_it_was() -> None:
    for policy in (StreamPolicy(), StreamPolicy(max_retries=0), StreamPolicy(bisect=True)):
        assert policy.judge(attempt(1, 2), Failed("function_error")).state is None


@rule("stream.windows.final-is-retried")
def test_an_attempt_without_records_is_retried_and_given_up_as_any_other() -> None:
    policy, failed = StreamPolicy(max_retries=1, bisect=True, max_age=60), Failed("function_error")
    of = Attempt(records=(), window=OPEN, request_id="r1")
    assert policy.expire(of, 1e12)[0] is of
    (again,) = policy.judge(of, failed).again
    assert (again.records, again.window, again.request_id, again.retries) == ((), OPEN, "r1", 1)
    (gone,) = policy.judge(again, failed).discard
    assert (gone.records, gone.reason, gone.invoke_count) == ((), "RetryAttemptsExhausted", 2)


@rule("stream.windows.oversized")
@pytest.mark.parametrize(("more", "early"), [(0, False), (1, True)])
def test_a_state_of_more_than_a_megabyte_is_too_large(more: int, *, early: bool) -> None:
    state = b'{"x":"' + b"x" * (STATE_LIMIT - 8 + more) + b'"}'
    window = moved_on(Memo(window=OPEN), state).window
    assert window is not None
    assert (len(window.state), window.early) == (STATE_LIMIT + more, early)
    assert STATE_LIMIT == 1_048_576


@rule("stream.windows.sizes")
@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.integers(0, 60), st.integers(60, 120))
def test_what_no_longer_fits_beside_the_state_is_split_and_nothing_else_is(sizes: list[int], overhead: int, limit: int) -> None:
    some = tuple(record(number, payload=b"x" * size) for number, size in enumerate(sizes))
    of = Attempt(records=some, retries=2, request_id="r1")
    parts = fitting(of, overhead, limit)
    if parts is None:
        assert len(envelope(some)) + overhead <= limit or len(some) == 1
        return
    first, rest = parts
    assert (*first.records, *rest.records) == some
    assert (first.retries, rest.retries, first.request_id, rest.request_id) == (2, 2, None, None)
    assert len(envelope(first.records)) + overhead <= limit or len(first.records) == 1
    assert len(envelope(some[: len(first.records) + 1])) + overhead > limit


@rule("stream.windows.closed-without-later-record")
def test_what_an_empty_read_says_of_the_records_that_may_still_come() -> None:
    assert seen_until(1000.0, 0.0, quiet=0.0) == 1000 - SKEW
    assert seen_until(1000.0, 0.5, quiet=500.0) is None
    assert seen_until(1000.0, None, quiet=SILENCE) == 1000 - SILENCE
    assert seen_until(1000.0, None, quiet=SILENCE - 0.1) is None
    assert SILENCE == 120
