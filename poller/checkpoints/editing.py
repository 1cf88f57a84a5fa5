"""Positions moved by an operator's hand: one write, for one shard or all of them, against what was seen a moment before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from poller.checkpoints.audit import Change, audited
from poller.checkpoints.desk import CannotDo, Refused, Unknown, hint
from poller.checkpoints.spec import BadPosition, parse, same, shown, with_place
from poller.core.model import ShardId, ShardState, sequence_number
from poller.edits import Rewrite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poller.checkpoints.desk import Desk, Target
    from poller.core.model import Checkpoint, StreamId

ALL: Final = "all"
"""In the place of a shard: all that the store knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for.

    Attributes:
        shard: its name, or `all`.
        position: in words, see `spec`.
        expect: where it must be now, in words; None: wherever it is.
        force: take it away from who holds it, and open it again where it is finished.
        new: the store may not know the shard yet.
        dry_run: change nothing.
    """

    shard: str
    position: str
    expect: str | None = None
    force: bool = False
    new: bool = False
    dry_run: bool = False


async def look(desk: Desk, target: Target) -> tuple[StreamId, dict[ShardId, ShardState]]:
    """The stream of a mapping and all that is known of its shards. Raises `CannotDo` where the store does not know it."""
    stream = await desk.store.stream(target.uuid)
    if stream is None:
        raise CannotDo(f"the store knows nothing of mapping {target.shown}: it has not run yet, and will begin where it says")
    return stream, dict(sorted((await desk.store.shards(target.uuid)).items()))


def one_of(states: Mapping[ShardId, ShardState], shard: str, remedy: str = "") -> ShardId:
    """A shard that is known. Raises `Unknown`."""
    if shard not in states:
        raise Unknown(f"no shard {shard!r}{hint(shard, states)}{remedy}")
    return ShardId(shard)


async def move(desk: Desk, target: Target, wish: Wish) -> list[Change]:
    """Writes the position. Returns what has changed.

    Raises `BadPosition`, `Unknown`, `CannotDo`, and `Refused` where somebody holds a shard, where it is finished, and where it is
    not where it should be; then nothing has changed.
    """
    stream, states = await look(desk, target)
    to = _destination(stream, wish, desk.clock.time())
    shards = _meant(desk, states, wish)
    _check(states, shards, wish)
    _doubt(desk, states, shards, to)
    changes = [_change(shard, states.get(shard), to) for shard in shards]
    if wish.dry_run:
        return changes
    with audited("set", target, changes):
        rewrites = {shard: _rewrite(states.get(shard), to, wish) for shard in shards}
        if not await desk.store.rewrite(target.uuid, stream, rewrites):
            raise Refused(await _what_is_now(desk, target, changes))
    return changes


async def reset(desk: Desk, target: Target, *, force: bool, dry_run: bool) -> list[Change]:
    """Forgets all checkpoints of a mapping: it is new, and begins at its starting position. Raises as `move`."""
    _, states = await look(desk, target)
    changes = [_change(shard, state, None, "nothing") for shard, state in states.items()]
    held = [each for each in changes if each.holder is not None]
    if held and not force:
        raise Refused(f"{_held(held[0])}. Stop every poller that runs the mapping first: one that goes on finds itself forgotten")
    if not dry_run:
        with audited("reset", target, changes):
            if not await desk.store.forget(target.uuid, fence=force):
                raise Refused(f"somebody took a shard of mapping {target.shown} a moment ago: nothing was changed, try again")
    return changes


def _destination(stream: StreamId, wish: Wish, now: float) -> Checkpoint:
    to = parse(wish.position, now)
    if with_place(to) and wish.shard == ALL:
        raise BadPosition("a sequence number is of one shard: name it, or give TRIM_HORIZON, LATEST or AT_TIMESTAMP=...")
    if ":dynamodb:" in stream.arn and not with_place(to) and wish.position != "TRIM_HORIZON":
        raise BadPosition(f"{wish.position}: DynamoDB Streams cannot look for a time: give a sequence number or TRIM_HORIZON")
    return to


def _meant(desk: Desk, states: Mapping[ShardId, ShardState], wish: Wish) -> list[ShardId]:
    if wish.shard == ALL:
        finished = [] if wish.force else [shard for shard, state in states.items() if state.finished]
        if finished:
            desk.say(f"left alone, as they are finished: {', '.join(finished)}; --force opens them again")
        return [shard for shard in states if shard not in finished]
    if wish.new and wish.shard not in states:
        desk.say(f"{wish.shard} is new to the store: it is read when all of its parents are finished, if the stream has it")
        return [ShardId(wish.shard)]
    return [one_of(states, wish.shard, "; for one that is not read yet, because its parents are not finished: --new")]


def _check(states: Mapping[ShardId, ShardState], shards: list[ShardId], wish: Wish) -> None:
    for shard in shards:
        state = states.get(shard) or ShardState()
        if wish.expect is not None and not same(wish.expect, state.checkpoint):
            raise Refused(f"{shard} is at {shown(state.checkpoint)}, not at {wish.expect} as --expect says")
        if state.finished and not wish.force:
            raise Refused(
                f"{shard} is finished: all of it is done, and its children are read. --force opens it again: what the stream"
                " still has of it after the new position is read once more, beside its children"
            )
        if state.owner is not None and not wish.force:
            raise Refused(
                f"{_held(_change(shard, state, None))}. Stop that poller, or take the shard away from it with --force: what it"
                " has in flight is cut off, and it goes on from the new position a few seconds later"
            )


def _doubt(desk: Desk, states: Mapping[ShardId, ShardState], shards: list[ShardId], to: Checkpoint) -> None:
    """Says so where a sequence number looks cut off: all numbers of a shard are about as long."""
    for shard in shards:
        at = states.get(shard, ShardState()).checkpoint
        if at is None or not (with_place(at) and with_place(to)):
            continue
        digits, before = len(sequence_number(to.position)), len(sequence_number(at.position))
        if digits != before:
            desk.say(f"{shard}: this number has {digits} digits, the one that is there has {before}: is it whole?")


def _held(change: Change) -> str:
    return f"{change.shard} is at work, held by {change.holder}"


def _rewrite(seen: ShardState | None, to: Checkpoint, wish: Wish) -> Rewrite:
    return Rewrite(seen=seen, to=to, fence=wish.force, moved=wish.force and wish.expect is None)


def _change(shard: ShardId, state: ShardState | None, to: Checkpoint | None, after: str = "") -> Change:
    before = "nothing" if state is None else "finished" if state.finished else shown(state.checkpoint)
    return Change(shard=shard, before=before, after=after or shown(to), holder=state.owner if state is not None else None)


async def _what_is_now(desk: Desk, target: Target, changes: list[Change]) -> str:
    """Why a write was refused that should have gone through: somebody was quicker."""
    states = await desk.store.shards(target.uuid)
    for each in changes:
        now = _change(each.shard, states.get(each.shard), None)
        if (now.before, now.holder) != (each.before, each.holder):
            held = f", held by {now.holder}" if now.holder else ""
            return f"{each.shard} was at {each.before} a moment ago and is at {now.before} now{held}: nothing was changed"
    return "the store has changed meanwhile: nothing was changed, try again"
