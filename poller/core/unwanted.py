"""What becomes of messages that the filter does not want, and that nobody has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, assert_never

from poller.core.model import Attempt, Decision, Discard

if TYPE_CHECKING:
    from poller.core.model import Record
    from poller.core.queue_policy import QueuePolicy

OnFiltered = Literal["delete", "release", "destination"]
"""`delete`, as Lambda does. `release`: back to the queue, for another consumer. `destination`: as what is given up."""


def settled(records: tuple[Record, ...]) -> Decision:
    """Done with."""
    return Decision(settle=records)


def unwanted(records: tuple[Record, ...], mode: OnFiltered, policy: QueuePolicy) -> Decision:
    """The decision about unwanted messages of a queue. What goes back waits as a failed message does: we would get it again."""
    match mode:
        case "delete":
            return settled(records)
        case "release":
            return Decision(release=policy.releases(records))
        case "destination":
            return Decision(discard=tuple(_filtered(record) for record in records))
    assert_never(mode)


def _filtered(record: Record) -> Discard:
    attempt = Attempt(records=(record,))
    return Discard(records=(record,), reason="Filtered", attempt=attempt, invoke_count=0)
