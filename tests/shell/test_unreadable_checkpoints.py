"""What a store holds beside a checkpoint, and no poller has written: the shard stops and says what to do; nothing is guessed."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from support.checkpoints import ONE, ORDERS, STREAM, TWO, Place, at
from support.processes import Process, World, put_everywhere, running
from support.stage import MAPPING, until, virtually

from poller.checkpoints.spec import parse
from poller.cli import main
from poller.core.model import Checkpoint
from poller.core.numbers import numbered
from poller.core.shards import start_from
from poller.edits import Rewrite

if TYPE_CHECKING:
    from pathlib import Path

    from poller.core.model import ShardId
    from poller.edits import EditableStore

GARBAGE = b'{"memos": {"0": {"cuts": "none"}}}'


async def write(process: Process, shard: ShardId, to: Checkpoint) -> None:
    """A hand of its own in the store."""
    stream = await process.store.stream(MAPPING)
    assert stream is not None
    seen = process.world.shards[shard]
    assert await process.store.rewrite(MAPPING, stream, {shard: Rewrite(seen=seen, to=to)})


@virtually
async def test_only_its_shard_stops_and_the_command_that_is_named_mends_it() -> None:
    world = World(shards=2)
    first = Process(world=world)
    before = put_everywhere(world, 1)
    async with running(first):
        await until(lambda: all(name in first.all_seen for names in before.values() for name in names))
    bad, good = sorted(before)
    at_bad = world.shards[bad].checkpoint
    assert at_bad is not None
    await write(first, bad, Checkpoint(position=at_bad.position, extra=GARBAGE))
    await asyncio.sleep(1)
    after = put_everywhere(world, 1)

    second = Process(world=world, owner="two")
    with capture_logs() as log:
        async with running(second):
            await until(lambda: all(name in second.all_seen for name in after[good]))
            await asyncio.sleep(120)
            assert not set(after[bad]) & set(second.all_seen)
            assert world.shards[bad].owner is None, "whoever mends it need not take it away from anybody"
            said = {line["error"] for line in log if line["event"] == "failing"}
            command = f"poller checkpoint set orders {bad} {numbered(at_bad.position)}"
            assert [command in text for text in said] == [True]
            assert not [line for line in log if line["event"] == "crashed"]
            await write(second, bad, parse(command.rsplit(maxsplit=1)[-1], 0.0))
            await until(lambda: all(name in second.all_seen for name in after[bad]))
    assert sorted(second.all_seen) == sorted([*after[bad], *after[good]])


@pytest.fixture
def place(tmp_path: Path, aws_environment: dict[str, str]) -> Place:
    made = Place(tmp_path)

    async def job(store: EditableStore) -> None:
        await store.enroll(ORDERS, STREAM, {ONE: Checkpoint(extra=b"garbage"), TWO: at(200, GARBAGE)})

    made.run(job)
    return made


def test_commands_show_it_and_write_over_it(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    def poller(*arguments: str) -> int:
        return main(["checkpoint", *arguments, "-c", place.config])

    assert poller("get", "orders") == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert shown == [[ONE, "unreadable", "free"], [TWO, "200", "free"]]
    assert poller("export", "orders") == 0
    exported = place.folder / "export.json"
    exported.write_text(capsys.readouterr().out)
    [mapping] = json.loads(exported.read_text())["mappings"]
    assert [shard["extra"] for shard in mapping["shards"]] == ["garbage", GARBAGE.decode()]
    assert poller("import", str(exported), "--as", "copy") == 2
    assert "is not what `poller checkpoint export` writes" in capsys.readouterr().err
    assert main(["status", "-c", place.config]) == 0
    assert "unreadable" in capsys.readouterr().out
    assert poller("set", "orders", ONE, "TRIM_HORIZON") == poller("set", "orders", TWO, "200") == 0
    states = place.run(lambda store: store.shards(ORDERS))
    assert start_from(states[ONE].checkpoint).type == "TRIM_HORIZON"
    assert states[TWO].checkpoint == at(200)
