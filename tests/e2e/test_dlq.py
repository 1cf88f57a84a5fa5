"""`poller dlq` as its operator has it: the real command against a server, interrupted and started again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from support.aws import AWS_ENVIRONMENT

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from pathlib import Path

    from e2e.scene import Scene

RATE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def start(config: Path, *arguments: str) -> Process:
    """`poller dlq` as a process of its own."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "poller", "dlq", *arguments, "-c", str(config)),
        env={"PATH": os.environ["PATH"], **AWS_ENVIRONMENT},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def end(process: Process, patience: float = 90) -> Ended:
    out, err = await asyncio.wait_for(process.communicate(), patience)
    assert process.returncode is not None
    assert b"Traceback" not in err, err.decode()
    return Ended(code=process.returncode, out=out.decode(), err=err.decode())


async def dlq(config: Path, *arguments: str) -> Ended:
    return await end(await start(config, *arguments))


async def dead(scene: Scene, count: int) -> tuple[Path, str, str]:
    """A mapping whose queue has given up so many messages, every second of them paid: its configuration, and both queues."""
    source, letters = await scene.redriven(3)
    bodies = [json.dumps({"id": number, "status": ["paid", "open"][number % 2]}) for number in range(count)]
    await scene.queues.send_many(letters, bodies)
    return scene.configure(scene.queue_mapping(source)), source, letters


async def taken(scene: Scene, queue: str) -> list[Any]:
    """All messages of a queue, which is empty then."""
    found: list[Any] = []
    while received := await scene.queues.receive(queue, visibility=600):
        found += received
        await scene.queues.discard(queue, received)
    return found


async def ids(scene: Scene, queue: str) -> list[int]:
    """The same, by what they say."""
    return [json.loads(message["Body"])["id"] for message in await taken(scene, queue)]


async def moved_to(scene: Scene, queue: str, count: int, process: Process) -> None:
    """Waits until the process has moved so many."""
    deadline = time.monotonic() + 60
    while True:
        if await scene.queues.depth(queue) >= count:
            return
        assert process.returncode is None, (await process.communicate())[1].decode()
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


PAID = ("--filter", '{"body": {"status": ["paid"]}}')


@pytest.mark.timeout(300)
@pytest.mark.parametrize("many", [pytest.param(2_000, marks=pytest.mark.slow), pytest.param(5_000, marks=pytest.mark.thorough)])
async def test_thousands_of_dead_letters_are_listed_filtered_and_redriven_through_a_kill(scene: Scene, many: int) -> None:
    config, source, letters = await dead(scene, many)
    listed = (await dlq(config, "list", "orders", "--limit", "0", "-o", "json")).json
    assert (listed["about"], len({message["id"] for message in listed["messages"]})) == (many, many)
    planned = await dlq(config, "redrive", "orders", *PAID, "-o", "json")
    would = planned.json["would_do"]
    assert (planned.code, would["meant"], would["unwanted"]) == (0, many // 2, many // 2)
    assert "--yes" in planned.err
    assert (await scene.queues.depth(letters), await scene.queues.depth(source)) == (many, 0)

    process = await start(config, "redrive", "orders", *PAID, "--rate", str(RATE), "--yes")
    await moved_to(scene, source, many // 20, process)
    began = time.monotonic()
    await moved_to(scene, source, many // 5, process)
    rate = (many // 5 - many // 20) / (time.monotonic() - began)
    process.kill()
    await process.communicate()
    moved = await scene.queues.depth(source)
    assert moved < many // 2
    resumed = await dlq(config, "redrive", "orders", "--rate", str(RATE), "--yes", "-o", "json")
    assert (resumed.code, resumed.json["did"]["sent_and_not_deleted"]) == (0, []), resumed
    assert "dlq_ended" in resumed.err
    print(f"{moved} moved before the kill, {rate:.0f} a second; {resumed.json['did']['done']} after it")
    assert rate <= RATE * 1.1

    copies = Counter(await ids(scene, source))
    assert set(copies) == set(range(many)), "messages are lost"
    assert sum(count - 1 for count in copies.values()) <= 10
    assert await scene.queues.depth(letters) == 0


@pytest.mark.slow
async def test_a_fifo_queue_is_redriven_in_order_through_a_ctrl_c(scene: Scene) -> None:
    source, letters = await scene.redriven(3, ".fifo")
    groups = [f"g{number % 6}" for number in range(150)]
    await scene.queues.send_many(letters, [json.dumps({"id": number}) for number in range(150)], groups)
    config = scene.configure(scene.queue_mapping(source))
    process = await start(config, "redrive", "orders", "--rate", "40", "--yes", "-o", "json")
    await moved_to(scene, source, 30, process)
    process.send_signal(signal.SIGINT)
    cut = await end(process)
    assert cut.code == 130
    assert cut.json["did"]["done"] == await scene.queues.depth(source)
    assert (await dlq(config, "redrive", "orders", "--yes")).code == 0
    by_group: dict[str, list[int]] = {}
    for message in await taken(scene, source):
        by_group.setdefault(message["Attributes"]["MessageGroupId"], []).append(json.loads(message["Body"])["id"])
    assert by_group == {f"g{number}": list(range(number, 150, 6)) for number in range(6)}


@pytest.mark.slow
async def test_letters_are_shown_purged_by_a_filter_and_handed_to_the_function(scene: Scene) -> None:
    config, source, letters = await dead(scene, 20)
    listed = await dlq(config, "list", "orders", "--limit", "5", "--bodies")
    lines = listed.out.splitlines()
    assert (listed.code, len(lines), lines[0].split()[0]) == (0, 6, "ID")
    assert '"status"' in lines[1]
    name = lines[1].split()[0]
    message = (await dlq(config, "show", "orders", name, "-o", "json")).json
    assert (message["MessageId"], "ReceiptHandle" in message) == (name, False)

    nothing = await dlq(config, "purge", "orders", *PAID)
    assert (nothing.code, nothing.out.splitlines()[0]) == (0, "10 messages would be deleted for good")
    assert await scene.queues.depth(letters) == 20
    purged = await dlq(config, "purge", "orders", *PAID, "--yes")
    assert (purged.code, purged.out) == (0, "10 messages deleted for good\n10 messages not wanted by the filter\n")

    fed = await dlq(config, "redrive", "orders", "--to", "function", "--yes")
    assert (fed.code, fed.out) == (0, "10 messages done by the function\n")
    assert sorted(scene.ledger.ids) == list(range(1, 20, 2))
    assert (await scene.queues.depth(letters), await scene.queues.depth(source)) == (0, 0)


@pytest.mark.slow
async def test_what_the_function_fails_stays_and_the_exit_code_says_so(scene: Scene) -> None:
    source, letters = await scene.redriven(3)
    await scene.queues.send_many(letters, [json.dumps({"id": 1, "do": "report"}), json.dumps({"id": 2})])
    config = scene.configure(scene.queue_mapping(source))
    fed = await dlq(config, "redrive", "orders", "--to", "function", "--yes", "-o", "json")
    assert fed.code == 1
    assert (fed.json["did"]["done"], fed.json["did"]["left"]) == (1, {"was reported by the function": 1})
    assert await ids(scene, letters) == [1]


async def test_a_queue_that_is_not_there_is_named(scene: Scene) -> None:
    source = await scene.queue()
    missing = await dlq(scene.configure(scene.queue_mapping(source)), "list", "orders")
    assert (missing.code, missing.out) == (3, "")
    assert "mapping orders has no dead-letter queue" in missing.err
