"""How batches and what was given up are named in labels and log lines."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final, assert_never

from poller.core.model import (
    BEGINNING,
    NO_FIGURES,
    Accepted,
    Errored,
    Failed,
    Partial,
    Refused,
    Returned,
    sequence_number,
)
from poller.core.windows import bounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.core.model import Answer, Attempt, Discard, DiscardReason, Outcome, Record

DROP_REASON: dict[DiscardReason, str] = {
    "RecordAgeExceeded": "max_age",
    "RetryAttemptsExhausted": "max_retries",
    "Filtered": "filtered",
}

MEND: Final = "mend the function: the batch is tried again until then; or pass over it with poller checkpoint set"

MEBIBYTE: Final = 1024 * 1024


def outcome_label(outcome: Outcome) -> str:
    """The value of `outcome` of `poller_invocations_total`.

    A function that reported failed items has run well: that is `partial`, whatever it reported.
    """
    match outcome:
        case Accepted():
            return "success"
        case Partial() | Failed(kind="batch_item"):
            return "partial"
        case Failed(kind):
            return kind
        case Refused():
            return _refused(outcome)
    assert_never(outcome)


def failed_events(attempt: Attempt, outcome: Outcome) -> tuple[str, int] | None:
    """The value of `reason` of `poller_events_failed_total`, and how many events; None where all is well."""
    match outcome:
        case Accepted():
            return None
        case Partial(failed):
            return "batch_item", len(failed)
        case Failed(kind):
            return kind, len(attempt.records)
        case Refused():
            return _refused(outcome), len(attempt.records)
    assert_never(outcome)


def not_done(attempt: Attempt, outcome: Outcome) -> Sequence[Record]:
    """The records that the function has seen, and not done."""
    match outcome:
        case Accepted():
            return ()
        case Partial(failed):
            return [record for record in attempt.records if record.id in failed]
        case Failed() | Refused():
            return attempt.records
    assert_never(outcome)


def outcome_fields(attempt: Attempt, outcome: Outcome) -> dict[str, object]:
    """How it ended, for a log line: `outcome`, and of what is no success its `kind` and `error`."""
    match outcome:
        case Accepted():
            return {"outcome": "success"}
        case Partial(failed):
            word, kind, error = "partial", "batch_item", f"{len(failed)} of {len(attempt.records)} records reported"
        case Failed(kind, error):
            word = "failed"
        case Refused():
            word, kind, error = "refused", _refused(outcome), outcome.detail
        case _:
            assert_never(outcome)
    return {"outcome": word, "kind": kind, "error": error}


def discard_fields(discard: Discard) -> dict[str, object]:
    """What was given up and why, for a log line."""
    return {
        "reason": discard.reason,
        "records": len(discard.records),
        "invoke_count": discard.invoke_count,
        "request_id": discard.attempt.request_id,
        **window_fields(discard.attempt),
        **record_fields(discard.records),
    }


def blocked_fields(attempt: Attempt, outcome: Outcome) -> dict[str, object]:
    """What has no retries left, why, and what to do, for a log line."""
    failure = outcome_fields(attempt, outcome)
    return {
        "kind": failure["kind"],
        "error": failure["error"],
        "records": len(attempt.records),
        "request_id": attempt.request_id,
        **attempt_fields(attempt),
        "remedy": MEND,
    }


def report_fields(answer: Answer, memory_size: int | None) -> dict[str, object]:
    """The figures of Lambda's REPORT line, as far as they are known: times in ms, memory in MB; nothing of what did not run."""
    if not isinstance(answer, (Returned, Errored)) or answer.figures is NO_FIGURES:
        return {}
    figures = answer.figures
    fields: dict[str, object] = {"function_ms": round(figures.duration * 1000, 1)}
    if figures.init_duration is not None:
        fields["init_ms"] = round(figures.init_duration * 1000, 1)
    if figures.max_memory is not None:
        fields["max_memory_mb"] = ceil(figures.max_memory / MEBIBYTE)
    if memory_size is not None:
        fields["memory_size_mb"] = memory_size
    return fields


def record_fields(records: Sequence[Record]) -> dict[str, object]:
    """The first and the last record, by the source's own sequence numbers; of messages, which have none, the ids.

    `receives` is the highest receive count among messages. Nothing where there are no records.
    """
    if not records:
        return {}
    if records[0].position == BEGINNING:
        receives = max([record.receives for record in records])
        return {"first_message": records[0].id, "last_message": records[-1].id, "receives": receives}
    return {
        "first_sequence": sequence_number(records[0].position),
        "last_sequence": sequence_number(records[-1].position),
    }


def attempt_fields(attempt: Attempt) -> dict[str, object]:
    """What an attempt is made of, for a log line."""
    return window_fields(attempt) | record_fields(attempt.records)


def window_fields(attempt: Attempt) -> dict[str, object]:
    """The tumbling window that it belongs to, for a log line; `final`: it closes the window, `early`: before its end."""
    if (window := attempt.window) is None:
        return {}
    fields: dict[str, object] = {"window": bounds(window)["start"]}
    return fields | {name: True for name, so in (("final", window.final), ("early", window.early)) if so}


def age_fields(records: Sequence[Record], sent_at: float) -> dict[str, object]:
    """How old the oldest was when they were sent (Unix seconds), for a log line."""
    return {"age_s": round(max(0.0, sent_at - oldest_arrival(records)), 3)} if records else {}


def oldest_arrival(records: Sequence[Record]) -> float:
    """When the oldest of these arrived, Unix seconds. Order by time is nearly, but not quite, the order of a shard."""
    return min([record.arrived_at for record in records])


def _refused(outcome: Refused) -> str:
    return "throttled" if outcome.reason == "throttled" else "invoke_error"
