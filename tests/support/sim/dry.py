"""A lane that is stuck holds up no other one: the shard is read on for those that have nothing to do, up to its cap."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.sim.hold import Hold
    from support.sim.process import Process

PAUSE = 5.0
"""Seconds between two reads of a shard that has more, at the most, where calls work."""


def left_dry(process: Process) -> list[str]:
    """The shards of a process that are not read on, though a lane is dry, there is more, and there is room for it."""
    if process.stands_still or process.drain.started:
        return []
    return [f"{process.name} {name}/{shard[-4:]}" for (name, shard), hold in process.holds.items() if _dry(process, hold)]


def _dry(process: Process, hold: Hold) -> bool:
    limits, line = process.ledger.scenario.limits, process.ledger.line(hold.plan, hold.book.shard)
    if hold.returned or line.hold is not hold or line.holder != process.name or hold.last_read is None or hold.silent_drops:
        return False
    held = hold.last_read + 1 - hold.cursor
    if hold.last_read + 1 >= len(hold.book.entries) or held >= limits.cap(hold.plan):
        return False
    if limits.bytes_felt or (hold.plan.name, hold.book.shard) in process.unanswered:
        return False
    dry = any(track.row.number(track.cursor) > hold.last_read for track in hold.tracks)
    return dry and process.clock.monotonic() > max(hold.got_at, process.reads.get((hold.plan.name, hold.book.shard), 0.0)) + PAUSE
