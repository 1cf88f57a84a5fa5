"""Where an end-to-end test plays: servers, a folder, a configuration, daemons, and the ledger that their handlers keep."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.aws import redriving, until
from support.daemon import PATIENCE, Daemon, gone
from support.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.aws import Queues, Streams

FUNCTIONS = Path(__file__).parent / "functions"

HASH_KEYS = 2**128

Fields = dict[str, Any]
Change = dict[str, Any]


class Ledger:
    """What handlers have written, line by line (see `functions/ledger/app.py`)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        self._entries: list[Fields] = []

    @property
    def entries(self) -> list[Fields]:
        """All whole lines so far, in the order in which they were written."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._read)
                whole, newline, _ = file.read().rpartition(b"\n")
            self._read += len(whole) + len(newline)
            self._entries += [json.loads(line) for line in whole.splitlines()]
        return self._entries

    @property
    def ids(self) -> list[Any]:
        """The ids of all deliveries."""
        return [entry["id"] for entry in self.entries]

    @property
    def batches(self) -> list[list[Any]]:
        """The ids of each invocation."""
        calls: dict[str, list[Any]] = {}
        for entry in self.entries:
            calls.setdefault(entry["call"], []).append(entry["id"])
        return list(calls.values())

    def spans(self, wanted: Callable[[Fields], bool] = lambda _: True) -> list[tuple[float, float]]:
        """Of each invocation with lines that are wanted: when it began, and when it wrote the last of them. In order."""
        calls: dict[str, list[Fields]] = {}
        for entry in filter(wanted, self.entries):
            calls.setdefault(entry["call"], []).append(entry)
        return sorted((entries[0]["began"], entries[-1]["at"]) for entries in calls.values())

    @property
    def workers(self) -> set[int]:
        """The processes that wrote it."""
        return {entry["worker"] for entry in self.entries}

    async def until(self, wanted: Callable[[list[Any]], bool], daemon: Daemon, patience: float = PATIENCE) -> None:
        """Waits until the delivered ids are as wanted, while this daemon works."""

        def happened() -> bool:
            return wanted(self.ids)

        await daemon.until(happened, "the ledger is as wanted", patience)

    async def has(self, *ids: object, daemon: Daemon, patience: float = PATIENCE) -> None:
        """Waits until all of these have been delivered."""
        await self.until(lambda seen: set(ids) <= set(seen), daemon, patience)


@dataclass(slots=True, kw_only=True)
class Scene:
    """One test's corner of the servers.

    Attributes:
        url: where daemons find all services.
        folder: for the configuration, the store and the logs; the test's own.
    """

    url: str
    folder: Path
    streams: Streams
    queues: Queues
    name: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:12]}")
    port: int = field(default_factory=free_port)
    daemons: list[Daemon] = field(default_factory=list)
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.folder / "ledger")

    @property
    def gate(self) -> Path:
        """Held records go on when this file exists."""
        return self.folder / "gate"

    async def stream(self, shards: int = 1, suffix: str = "") -> str:
        """A new stream's ARN."""
        return await self.streams.create(self.name + suffix, shards)

    async def queue(self, suffix: str = "", **attributes: str) -> str:
        """A new queue's ARN. With a suffix that ends with `.fifo` it is a FIFO queue."""
        return await self.queues.create(self.name + suffix, attributes)

    async def redriven(self, after: int, suffix: str = "", **attributes: str) -> tuple[str, str]:
        """A new queue that gives a message up after so many receives, and the queue that such messages go to."""
        dead_letters = await self.queue(f"-dead{suffix}")
        return await self.queue(suffix, **attributes, **redriving(dead_letters, after)), dead_letters

    def function(self, change: Change | None = None, *, ledger: str = "ledger", **environment: str) -> Fields:
        """The ledger's handler in worker processes."""
        paths = {"LEDGER": str(self.folder / ledger), "GATE": str(self.gate)}
        return {
            "executor": "process",
            "runtime": "python",
            "handler": "app.handler",
            "code": str(FUNCTIONS / "ledger"),
            "timeout": 30,
            "maximum_concurrency": 8,
            "environment": paths | environment,
        } | (change or {})

    def mapping(self, stream: str, **change: object) -> Fields:
        """A mapping named `orders` with the function of that name."""
        return {
            "name": "orders",
            "event_source_arn": stream,
            "function_name": "orders",
            "starting_position": "TRIM_HORIZON",
            "function_response_types": ["ReportBatchItemFailures"],
        } | change

    def queue_mapping(self, queue: str, **change: object) -> Fields:
        """A mapping named `orders` with the function of that name. Its polls are short, and so are drains."""
        return {
            "name": "orders",
            "event_source_arn": queue,
            "function_name": "orders",
            "function_response_types": ["ReportBatchItemFailures"],
            "receive_wait": 1,
        } | change

    def configure(self, *mappings: Fields, functions: Fields | None = None, **change: object) -> Path:
        """Writes the configuration, and returns its path."""
        config = {
            "aws": {"region": "us-east-1", "endpoint_url": self.url},
            "store": {"url": "sqlite:///poller.db", "lease_duration": 2},
            "http": {"listen": f"127.0.0.1:{self.port}"},
            "functions": functions or {"orders": self.function()},
            "event_source_mappings": mappings,
        } | change
        path = self.folder / "poller.yaml"
        path.write_text(json.dumps(config, indent=2))
        return path

    def start(self, config: Path, **environment: str) -> Daemon:
        """A daemon on this configuration. It ends with the test."""
        daemon = Daemon(config, port=self.port, environment=environment)
        self.daemons.append(daemon)
        return daemon

    async def running(self, *mappings: Fields, functions: Fields | None = None, **change: object) -> Daemon:
        """A daemon on this configuration, all of its mappings enabled."""
        daemon = self.start(self.configure(*mappings, functions=functions, **change))
        for mapping in mappings:
            await daemon.enabled(mapping["name"])
        return daemon

    async def killed(self, config: Path, delivered: int, patience: float = PATIENCE) -> None:
        """Runs a daemon until so many have been delivered, then kills it: its workers die with it, by the kernel's hand."""
        daemon = self.start(config)
        await self.ledger.until(lambda ids: len(set(ids)) >= delivered, daemon, patience)
        daemon.kill()
        await gone(self.ledger.workers)

    async def put(self, stream: str, *ids: object, key: str = "key", **data: object) -> list[tuple[str, str]]:
        """Puts a record for each id; returns their shards and sequence numbers."""
        return await self.streams.put_many(stream, [(key, json.dumps({"id": each, **data}).encode()) for each in ids])

    async def send(self, queue: str, *ids: object, **data: object) -> None:
        """Sends a message for each id."""
        await self.queues.send_many(queue, [json.dumps({"id": each, **data}) for each in ids])

    async def emptied(self, queue: str, patience: float = PATIENCE) -> None:
        """Waits until nothing is left in the queue, in hand or not."""
        await until(lambda depth: depth == 0, lambda: self.queues.depth(queue), patience)

    async def close(self) -> None:
        """Ends all daemons. Fails where one of them crashed in a part, or left a worker behind."""
        for daemon in self.daemons:
            daemon.close()
        await gone(self.ledger.workers)
        for daemon in self.daemons:
            assert not daemon.strange, f"stderr has lines that are no log: {daemon.strange[:40]}"
            for bug in ("crashed", "admin_failed", "library"):
                assert not daemon.lines(bug), daemon.lines(bug)


def keys_of_shards(shards: int, each: int = 1) -> list[list[str]]:
    """Partition keys for each of a new stream's shards, which divide the MD5 of the key evenly."""
    found: list[list[str]] = [[] for _ in range(shards)]
    for number in range(10_000):
        key = f"key-{number}"
        place = int.from_bytes(hashlib.md5(key.encode()).digest()) * shards // HASH_KEYS
        if len(found[place]) < each:
            found[place].append(key)
    return found


def moment_after_now() -> float:
    """A time, in whole milliseconds, that is later than all that has happened, and over when this returns."""
    moment = (int(time.time() * 1000) + 2) / 1000
    while time.time() <= moment:
        pass
    return moment
