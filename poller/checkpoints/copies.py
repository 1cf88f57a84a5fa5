"""Checkpoints as a file: out of one store, into another, or to another mapping of the same stream.

    {"version": 1, "mappings": [{"uuid", "name", "stream_arn", "created_at", "shards": [
        {"shard", "position", "start", "finished", "extra"}]}]}

`position` is null while nothing is done, then `start` says where to begin. `extra`, where there is one, is what lanes remember:
splits of a failing batch, state of a tumbling window. A file is read as a whole before anything is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from poller.checkpoints.audit import Change, audited
from poller.checkpoints.desk import Refused
from poller.checkpoints.spec import BadPosition, parse_number, shown
from poller.core.extra import Unreadable, unpack
from poller.core.model import BEGINNING, Checkpoint, MappingId, ShardId, ShardState, StreamId
from poller.core.numbers import numbered
from poller.core.report import iso
from poller.edits import Rewrite
from poller.errors import PollerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from poller.checkpoints.desk import Desk, Target
    from poller.core.extra import Extra

VERSION: Final = 1

STARTS: Final = ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")
"""Where a shard may begin of which nothing is done."""

SAME_INCARNATION: Final = 1.0
"""Seconds by which two readings of one stream's creation time may differ."""


class BadFile(PollerError):
    """This is no export of checkpoints; the message says where, and what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """What a file has of one mapping."""

    uuid: MappingId
    name: str | None
    stream: StreamId
    shards: dict[ShardId, ShardState]


# ------------------------------------------------------------------------------------------------------------------------- out


async def export(desk: Desk, targets: Iterable[Target]) -> dict[str, object]:
    """The file. Each mapping is as it was at one moment; a running one goes on meanwhile, and what it does then comes again."""
    copies = []
    for target in targets:
        stream = await desk.store.stream(target.uuid)
        if stream is not None:
            shards = await desk.store.shards(target.uuid)
            copies.append(Copy(uuid=target.uuid, name=target.name, stream=stream, shards=dict(sorted(shards.items()))))
    return {"version": VERSION, "mappings": [_document(copy) for copy in copies]}


def _document(copy: Copy) -> dict[str, object]:
    return {
        "uuid": copy.uuid,
        "name": copy.name,
        "stream_arn": copy.stream.arn,
        "created_at": copy.stream.created_at,
        "shards": [shard_document(shard, state) for shard, state in copy.shards.items()],
    }


def shard_document(shard: ShardId, state: ShardState) -> dict[str, object]:
    """A shard, for programs."""
    checkpoint = state.checkpoint or Checkpoint()
    done, extra = checkpoint.position != BEGINNING, _extra(checkpoint)
    start = extra.pop("start", None) if isinstance(extra, dict) else None
    told: dict[str, object] = {
        "shard": shard,
        "position": numbered(checkpoint.position) if done else None,
        "start": start if state.checkpoint is None or start is not None or done else {"type": "TRIM_HORIZON", "timestamp": None},
        "finished": state.finished,
    }
    return told | ({"extra": extra} if extra else {})


def _extra(checkpoint: Checkpoint) -> dict[str, Any] | str:
    """What is stored beside the position; the text of it, which `read` refuses, where no poller has written that."""
    try:
        unpack(checkpoint.extra)
    except Unreadable:
        return checkpoint.extra.decode("utf-8", "replace")
    return orjson.loads(checkpoint.extra or b"{}")  # type: ignore[no-any-return]  # an object: it was unpacked


# -------------------------------------------------------------------------------------------------------------------------- in


def read(text: bytes) -> list[Copy]:
    """What a file holds. Raises `BadFile`."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadFile(f"no JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("mappings"), list):
        raise BadFile('it has no "mappings": give what `poller checkpoint export` wrote')
    if document.get("version") != VERSION:
        raise BadFile(f"its version is {document.get('version')!r}, this poller reads {VERSION}: upgrade it")
    return [_copy(each, f"mappings[{index}]") for index, each in enumerate(document["mappings"])]


def _copy(told: object, at: str) -> Copy:
    fields = _fields(told, at, uuid=str, stream_arn=str, created_at=(int, float), shards=list)
    shards = [_shard(each, f"{at}.shards[{index}]") for index, each in enumerate(fields["shards"])]
    if len(dict(shards)) < len(shards):
        raise BadFile(f"{at}: a shard is there twice")
    return Copy(
        uuid=MappingId(fields["uuid"]),
        name=fields.get("name"),
        stream=StreamId(arn=fields["stream_arn"], created_at=float(fields["created_at"])),
        shards=dict(shards),
    )


def _shard(told: object, at: str) -> tuple[ShardId, ShardState]:
    fields = _fields(told, at, shard=str, finished=bool)
    number, start = fields.get("position"), fields.get("start")
    try:
        extra = ({"start": start} if start is not None else {}) | (fields.get("extra") or {})
        position = BEGINNING if number is None else parse_number(str(number))
        packed = orjson.dumps(extra) if extra else b""
        _check_extra(unpack(packed))
    except BadPosition as error:
        raise BadFile(f"{at}.position: {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        raise BadFile(f'{at}: "start" or "extra" is not what `poller checkpoint export` writes') from None
    nothing = number is None and not extra
    checkpoint = None if nothing else Checkpoint(position=position, extra=packed)
    return ShardId(fields["shard"]), ShardState(checkpoint=checkpoint, finished=fields["finished"])


def _check_extra(extra: Extra) -> None:
    """Raises `ValueError`, or whatever the calendar does, for what no daemon has written: it would fail on it again and again."""
    times, start = [extra.tip], extra.start
    if start is not None:
        times.append(start.timestamp)
        if start.type not in STARTS or (start.type == "AT_TIMESTAMP" and start.timestamp is None):
            raise ValueError(start.type)
    for memo in extra.memos:
        if any(cut.first > cut.last for cut in memo.cuts):
            raise ValueError(memo.cuts)
        if (window := memo.window) is not None:
            times += [window.start, window.end]
            orjson.loads(window.state)
    for time in times:
        if time is not None and (isinstance(time, bool) or not iso(time)):
            raise ValueError(time)


def _fields(told: object, at: str, **types: type | tuple[type, ...]) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise BadFile(f"{at} is no object")
    for name, kind in types.items():
        if not isinstance(told.get(name), kind):
            raise BadFile(f'{at}: "{name}" is missing, or of another type than an export has')
    return told


async def bring_in(desk: Desk, copy: Copy, target: Target, *, force: bool, dry_run: bool) -> list[Change]:
    """Makes of the target what the file says, all of it or nothing. Returns what has changed.

    With `force` also where the store knows the mapping: a shard that the file lacks is then one that nobody has read, as it was
    when the file was made, and who holds a shard loses it. Raises `Refused`.
    """
    known = await desk.store.stream(target.uuid)
    states = await desk.store.shards(target.uuid) if known is not None else {}
    _check(copy, target, known, states, force=force)
    wanted = dict.fromkeys(states, ShardState()) | copy.shards
    rewrites = {shard: _rewrite(states.get(shard), to) for shard, to in sorted(wanted.items())}
    changes = [_change(shard, each) for shard, each in rewrites.items()]
    if dry_run:
        return changes
    with audited("import", target, changes):
        if not await desk.store.rewrite(target.uuid, known or copy.stream, rewrites):
            raise Refused(f"mapping {target.shown} has moved on meanwhile: nothing was changed, try again")
    return changes


def _rewrite(seen: ShardState | None, to: ShardState) -> Rewrite:
    held = seen is not None and seen.owner is not None
    return Rewrite(seen=seen, to=to.checkpoint, finished=to.finished, fence=held, moved=held)


def _check(copy: Copy, target: Target, known: StreamId | None, states: Mapping[ShardId, ShardState], *, force: bool) -> None:
    if target.reads not in (None, copy.stream.arn):
        raise Refused(f"mapping {target.shown} reads {target.reads}, and the file is of {copy.stream.arn}")
    if known is None:
        return
    if known.arn != copy.stream.arn or abs(known.created_at - copy.stream.created_at) > SAME_INCARNATION:
        raise Refused(
            f"the store has mapping {target.shown} with another stream, or an earlier one of that name: "
            f"{known.arn}, made at {known.created_at:.3f}, in the file {copy.stream.arn}, made at {copy.stream.created_at:.3f}"
        )
    held = sorted(state.owner for state in states.values() if state.owner is not None)
    if not force:
        at_work = f", and {held[0]} is at work on it" if held else ""
        raise Refused(
            f"the store has checkpoints of mapping {target.shown} already, of {len(states)} shards{at_work}:"
            " --force writes over all of them"
        )


def _change(shard: ShardId, rewrite: Rewrite) -> Change:
    seen = rewrite.seen
    after = ShardState(checkpoint=rewrite.to, finished=rewrite.finished)
    return Change(shard=shard, before=_words(seen), after=_words(after), holder=seen.owner if seen is not None else None)


def _words(state: ShardState | None) -> str:
    return "nothing" if state is None else "finished" if state.finished else shown(state.checkpoint)
