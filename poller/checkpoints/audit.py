"""Who moved which checkpoint, from where to where: a line in the log for each, before and after."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from poller.checkpoints.desk import Refused
from poller.observe import logs
from poller.observe.operator import user

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from poller.checkpoints.desk import Target
    from poller.core.model import ShardId


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of one shard.

    Attributes:
        before, after: positions in words; `finished` where the shard is.
        holder: who is fenced; None: nobody.
    """

    shard: ShardId
    before: str
    after: str
    holder: str | None = None


@contextmanager
def audited(action: Literal["set", "import", "reset"], target: Target, changes: Sequence[Change]) -> Iterator[None]:
    """Around the one write that makes them. A refused one changes nothing, and leaves no line."""
    try:
        yield
    except Refused:
        raise
    except BaseException as error:  # its answer may have been lost on the way, or nobody waited for it
        _tell(action, target, changes, outcome="unknown", error=str(error) or type(error).__name__)
        raise
    _tell(action, target, changes, outcome="done")


def _tell(action: str, target: Target, changes: Sequence[Change], **outcome: str) -> None:
    log = logs.logger(action=action, mapping=target.name, uuid=target.uuid, by=user())
    for each in changes:
        log.info(
            "checkpoint_changed", shard=each.shard, before=each.before, after=each.after, fenced=each.holder or None, **outcome
        )
