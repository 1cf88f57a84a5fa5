"""All that outlives processes: services, the store's contents, the weather, the functions' moods, calls under way, the ledger."""

from __future__ import annotations

import asyncio
import json
from contextvars import Context
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from poller.apis.memory_dynamodb_tables import MemoryTables
from poller.apis.memory_queues import LENIENT, PLAIN, Extras, MemoryQueues
from poller.apis.memory_streams import Behaviour, MemoryStreams
from support.sim.ledger import Ledger
from support.sim.moods import Moods
from support.sim.queue_books import attributes, body
from support.sim.queue_scenario import GIVEN_UP
from support.sim.scenario import QUEUE
from support.sim.store import SimContents
from support.sim.weather import Weather
from support.virtual import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from poller.core.model import ShardId
    from support.sim.journal import Trace
    from support.sim.queue_scenario import QueuePlan, Send
    from support.sim.scenario import Put, Reshard, Scenario, StreamPlan

T = TypeVar("T")


class Surroundings:
    """The world of one run. The services have a clock of their own, which never jumps."""

    def __init__(self, scenario: Scenario, trace: Trace) -> None:
        self.scenario = scenario
        self.ledger = Ledger(scenario, trace)
        self.weather = Weather(scenario)
        self.moods = Moods((*scenario.puts, *scenario.sends), self.weather, Random(f"{scenario.seed} moods"))
        self.contents = SimContents(self.ledger)
        self._clock = VirtualClock()
        behaviour = Behaviour(
            reads_per_second=scenario.reads_per_second, empty_every=scenario.empty_every, late_end=scenario.late_end
        )
        self.streams = self._clock, MemoryStreams(self._clock, behaviour)
        self.queues = self._clock, MemoryQueues(self._clock, scenario.queue_habits or LENIENT)
        self.queues[1].create_queue(QUEUE)
        self.queues[1].create_queue(GIVEN_UP)
        for queue in scenario.queues:
            self._create(queue)
        self._under_way: set[asyncio.Task[Any]] = set()
        empty_every = 5 if scenario.empty_every else 0  # three mappings in step must not leave all empty pages to one of them
        of_tables = replace(behaviour, reads_per_second=None, empty_every=empty_every)
        self.tables = self._clock, MemoryTables(self._clock, of_tables)
        for stream in scenario.streams:
            if stream.table:
                arn = self.tables[1].create_table(f"table-{stream.name}", shards=stream.shards)
            else:
                arn = self.streams[1].create_stream(stream.name, shards=stream.shards)
            assert arn == stream.arn
            self.ledger.opened(stream.arn, self._shards(stream))

    def linger(self, call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Starts a call that goes on whatever becomes of who waits for it."""
        task = asyncio.get_running_loop().create_task(call, context=Context())  # it does not stand still with its process
        self._under_way.add(task)
        task.add_done_callback(self._arrived)
        return task

    def _arrived(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits gets it; if nobody does, nobody complains

    async def end(self) -> None:
        """Nothing is under way any more."""
        while self._under_way:
            for task in self._under_way:
                task.cancel()
            await asyncio.wait(self._under_way)

    def put(self, put: Put) -> None:
        """A producer puts a record."""
        arn = put.stream.arn
        if put.stream.table:
            changed = self.tables[1].put_item(arn, {"id": {"S": put.key}, "n": {"N": str(put.number)}})
            assert changed is not None
            shard, sequence = changed
            arrived_at = self.tables[1]._tables[arn].shards[shard].stored[-1].arrived_at
        else:
            shard, sequence = self.streams[1].put_record(arn, put.key, orjson.dumps({"n": put.number}))
            arrived_at = self.streams[1]._streams[arn].shards[shard].stored[-1].arrived_at
        self.ledger.put(put, shard, sequence, arrived_at)

    def _shards(self, stream: StreamPlan) -> dict[ShardId, tuple[ShardId, ...]]:
        """All shards of a stream, with their parents."""
        if stream.table:
            listed = self.tables[1].list_shards(stream.arn)
            return {shard.id: (shard.parent,) if shard.parent else () for shard in listed}
        return {shard.id: shard.parents for shard in self.streams[1].list_shards(stream.arn)}

    def _create(self, plan: QueuePlan) -> None:
        """A queue, with its dead-letter queue if it has one."""
        written = {"VisibilityTimeout": str(plan.visibility)}
        if plan.redrive is not None:
            target = self.queues[1].create_queue(plan.dead_letters)
            written["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": plan.redrive})
        self.queues[1].create_queue(plan.name, written)

    def send(self, send: Send) -> None:
        """A producer sends a message."""
        service, fifo = self.queues[1], send.queue.fifo
        extras = Extras(group=send.group, deduplication=f"d{send.number}") if fifo else PLAIN
        id_ = service.send(send.queue.arn, body(send), attributes(send), extras)
        message = self.ledger.queues.sent(send, service._queues[send.queue.arn]._messages[id_])
        self.ledger.trace.note(f"sent {message} {send.group} {send.how} {send.failures}")

    def calm_down(self) -> None:
        """From now on calls work, and SQS makes it simple."""
        self.weather.calm = True
        for queue in self.queues[1]._queues.values():
            queue._behaviour = LENIENT

    def reshard(self, act: Reshard) -> None:
        """An operator splits a shard, or merges two; where that cannot be, nothing happens. A table's rolls, or is split."""
        service, arn = self.streams[1], act.stream.arn
        listed = self._shards(act.stream)
        leaves = [shard for shard in listed if all(shard not in parents for parents in listed.values())]
        chosen = leaves[act.draw % len(leaves)]
        if act.stream.table:
            self.tables[1].roll(arn, chosen, children=1 if act.merge else 2)
        elif not act.merge:
            service.split(arn, chosen)
        for other in leaves if act.merge and not act.stream.table else ():
            try:
                service.merge(arn, chosen, other)
            except ValueError:
                continue
            break
        self.ledger.opened(arn, self._shards(act.stream))
