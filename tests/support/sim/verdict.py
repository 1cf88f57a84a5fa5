"""What an answer means by Lambda's table of partial answers; written apart from the daemon's own reading."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import orjson

from poller.core.model import Errored, Refused, Returned, TooLarge
from support.sim.stored import NOTHING, canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.core.model import Answer
    from support.sim.documents import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of an attempt.

    Attributes:
        kind: `partial`: everything before `first` is done, the rest is not.
        context: what a document would say of this invocation.
        label: the value of `outcome` in `poller_invocations_total`.
        failed: how many records count as failed in `poller_events_failed_total`, under `reason`.
        names: those that the answer names, where it names only records of the batch.
        state: of a tumbling window, from now on.
    """

    kind: Literal["accepted", "partial", "failed", "refused"]
    label: str
    first: int = 0
    context: Context = "absent"
    failed: int = 0
    reason: str = ""
    names: frozenset[str] = frozenset()
    state: bytes = NOTHING


ACCEPTED = Verdict(kind="accepted", label="success")


def verdict(answer: Answer, ids: Sequence[str], *, reports: bool, tumbling: bool = False) -> Verdict:
    """Of an answer to an invocation with these records, for a mapping that reads answers (`reports`) or does not."""
    match answer:
        case Returned(payload):
            state = _state(payload) if tumbling else NOTHING
            if state is None:
                return Verdict(
                    kind="failed", label="function_error", context="unhandled", failed=len(ids), reason="function_error"
                )
            return replace(_reported(payload, ids) if reports else ACCEPTED, state=state)
        case Errored(kind):
            return Verdict(kind="failed", label=kind, context="unhandled", failed=len(ids), reason=kind)
        case TooLarge():
            return Verdict(kind="failed", label="invoke_error", failed=len(ids), reason="invoke_error")
        case Refused(reason):
            label = "throttled" if reason == "throttled" else "invoke_error"
            return Verdict(kind="refused", label=label, failed=len(ids), reason=label)


def _state(payload: bytes) -> bytes | None:
    """What a function with tumbling windows must answer with; None where it does not."""
    body = orjson.loads(payload) if payload else None
    state = body.get("state") if isinstance(body, dict) else None
    return canonical(state) if isinstance(state, dict) else None


def _reported(payload: bytes, ids: Sequence[str]) -> Verdict:
    """The lowest reported record is where it goes on; to report anything else than records of the batch is a failure."""
    body = orjson.loads(payload) if payload else None
    failures = body.get("batchItemFailures") if isinstance(body, dict) else None
    if failures is None or failures == []:
        return ACCEPTED
    named = (
        [each.get("itemIdentifier") if isinstance(each, dict) else None for each in failures]
        if isinstance(failures, list)
        else [None]
    )
    if any(name not in ids for name in named):
        return Verdict(kind="failed", label="partial", context="reported", failed=len(ids), reason="batch_item")
    first, names = min(ids.index(name) for name in named), frozenset(name for name in named if name is not None)
    return Verdict(
        kind="partial", label="partial", first=first, context="reported", failed=len(names), reason="batch_item", names=names
    )
