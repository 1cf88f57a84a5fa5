"""The actions of `poller checkpoint`: each does its work at a desk, and says what came of it."""

from __future__ import annotations

import json
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from poller import interrupt
from poller.checkpoints import copies, editing
from poller.checkpoints.desk import CannotDo, Refused, Unknown, opened
from poller.checkpoints.spec import BadPosition, shown
from poller.cli.exits import EX_OK, EX_USAGE, SIGNALLED
from poller.clock import SystemClock
from poller.errors import Unavailable
from poller.observe import logs
from poller.observe.columns import columns
from poller.observe.console import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Coroutine, Iterator

    from poller.checkpoints.audit import Change
    from poller.checkpoints.desk import Absent, Desk, Target
    from poller.config import Config
    from poller.core.model import ShardId, ShardState

    Action = Callable[[argparse.Namespace, Desk], Coroutine[Any, Any, int]]

EX_REFUSED: Final = 1
EX_NOT_DONE: Final = 3


def run(arguments: argparse.Namespace, config: Config) -> int:
    """One action; returns its exit code."""
    logs.configure("info")
    absent: Absent = "refuse" if arguments.action != "import" else "pretend" if arguments.dry_run else "make"

    async def job(act: Action) -> int:
        async with opened(config, SystemClock(), _say, absent=absent) as desk:
            return await act(arguments, desk)

    try:
        result = interrupt.run(job(_action(arguments)))
    except (Unknown, BadPosition, copies.BadFile) as error:
        _say(f"poller checkpoint: error: {error}")
        return EX_USAGE
    except Refused as error:
        _say(f"poller checkpoint: refused: {error}")
        return EX_REFUSED
    except CannotDo as error:
        _say(f"poller checkpoint: error: {error}")
        return EX_NOT_DONE
    except Unavailable as error:
        _say(f"poller checkpoint: error: store {config.store.shown_url}: {error}")
        return EX_NOT_DONE
    return SIGNALLED + result if isinstance(result, signal.Signals) else result


def _action(arguments: argparse.Namespace) -> Action:
    """What to do at the desk. A file is read first: before a store is made for it, and where Ctrl-C still ends the waiting."""
    if arguments.action == "import":
        return partial(import_, copies.read(_content(arguments)))
    actions: dict[str, Action] = {"get": get, "set": set_, "reset": reset, "export": export}
    return actions[arguments.action]


# --------------------------------------------------------------------------------------------------------------------- looking


async def get(arguments: argparse.Namespace, desk: Desk) -> int:
    """Where a mapping's shards are."""
    target = desk.target(arguments.mapping)
    stream, states = await editing.look(desk, target)
    if arguments.shard is not None:
        shard = editing.one_of(states, str(arguments.shard))
        states = {shard: states[shard]}
    if arguments.output == "json":
        told = {"mapping": target.name, "uuid": target.uuid, "stream_arn": stream.arn, "created_at": stream.created_at}
        _print_json(told | {"shards": [_shard_document(shard, state) for shard, state in states.items()]})
    else:
        rows = [[shard, shown(state.checkpoint), _standing(state)] for shard, state in states.items()]
        print("\n".join(columns([["SHARD", "POSITION", "STATE"], *rows])))
    return EX_OK


def _shard_document(shard: ShardId, state: ShardState) -> dict[str, object]:
    return copies.shard_document(shard, state) | {"owner": state.owner, "epoch": state.epoch}


def _standing(state: ShardState) -> str:
    if state.finished:
        return "finished"
    return "free" if state.owner is None else f"held by {state.owner}"


async def export(arguments: argparse.Namespace, desk: Desk) -> int:
    """All of it, as JSON."""
    named = None if arguments.mapping is None else desk.target(str(arguments.mapping))
    if named is not None:
        await editing.look(desk, named)
    _print_json(await copies.export(desk, desk.targets() if named is None else [named]))
    return EX_OK


# ----------------------------------------------------------------------------------------------------------------------- doing


async def set_(arguments: argparse.Namespace, desk: Desk) -> int:
    """One position, or that of all shards."""
    wish = editing.Wish(
        shard=arguments.shard,
        position=arguments.position,
        expect=arguments.expect,
        force=arguments.force,
        new=arguments.new,
        dry_run=arguments.dry_run,
    )
    target = desk.target(arguments.mapping)
    _tell(arguments, target, await editing.move(desk, target, wish), done=not wish.dry_run)
    return EX_OK


async def reset(arguments: argparse.Namespace, desk: Desk) -> int:
    """All positions of a mapping."""
    target = desk.target(arguments.mapping)
    changes = await editing.reset(desk, target, force=arguments.force, dry_run=not arguments.yes)
    _tell(arguments, target, changes, done=arguments.yes)
    if not arguments.yes:
        _say("nothing was done: to do it, add --yes")
    return EX_OK


async def import_(found: list[copies.Copy], arguments: argparse.Namespace, desk: Desk) -> int:
    """Mappings of a file, each as a whole or not at all."""
    if arguments.target is not None and len(found) != 1:
        raise copies.BadFile(f"--as needs a file with one mapping, it has {len(found)}: export the one alone")
    targets = [_target(arguments, desk, copy) for copy in found]
    if len({target.uuid for target in targets}) < len(targets):
        raise copies.BadFile("it has a mapping twice")
    told: list[dict[str, object]] = []
    try:
        for copy, target in zip(found, targets, strict=True):
            told.append(await _bring_in(arguments, desk, copy, target))
    finally:  # what was done is told, also where the store fails in the middle
        if arguments.output == "json":
            _print_json({"mappings": told})
    return EX_REFUSED if any(each["refused"] for each in told) else EX_OK


async def _bring_in(arguments: argparse.Namespace, desk: Desk, copy: copies.Copy, target: Target) -> dict[str, object]:
    """What came of it, for programs; people are told at once."""
    try:
        changes = await copies.bring_in(desk, copy, target, force=arguments.force, dry_run=arguments.dry_run)
    except Refused as error:
        _say(f"poller checkpoint: refused: {error}")
        return _document(target, [], done=False) | {"refused": str(error)}
    if arguments.output != "json":
        _tell(arguments, target, changes, done=not arguments.dry_run)
    return _document(target, changes, done=not arguments.dry_run) | {"refused": None}


def _content(arguments: argparse.Namespace) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(arguments.file) == "-" else bytes(arguments.file.read_bytes())
    except OSError as error:
        raise copies.BadFile(f"{arguments.file}: {error.strerror}") from None


def _target(arguments: argparse.Namespace, desk: Desk, copy: copies.Copy) -> Target:
    if arguments.target is not None:
        return desk.target(arguments.target)
    try:
        return desk.target(copy.uuid)
    except Unknown as error:
        named = f"mapping {copy.name} ({copy.uuid})" if copy.name else f"mapping {copy.uuid}"
        raise Unknown(f"{named} of the file is not in the configuration; --as NAME brings it in for another. {error}") from None


# --------------------------------------------------------------------------------------------------------------------- telling


def _tell(arguments: argparse.Namespace, target: Target, changes: list[Change], *, done: bool) -> None:
    if arguments.output == "json":
        _print_json(_document(target, changes, done=done))
        return
    if not done:
        print("this would be done:")
    print("\n".join(_lines(target, changes)))


def _document(target: Target, changes: list[Change], *, done: bool) -> dict[str, object]:
    told = [{"shard": each.shard, "before": each.before, "after": each.after, "fenced": each.holder} for each in changes]
    return {"mapping": target.name, "uuid": target.uuid, "done": done, "changes": told}


def _lines(target: Target, changes: list[Change]) -> Iterator[str]:
    if not changes:
        yield f"{target.shown}: no shard"
    for each in changes:
        fenced = f", taken from {each.holder}" if each.holder else ""
        yield printable(f"{target.shown} {each.shard}: {each.before} -> {each.after}{fenced}")


def _print_json(document: object) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False), flush=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
