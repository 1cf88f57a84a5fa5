"""A process's executor of one function: it answers as the function's mood is, and watches what it is asked to run."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from typing import TYPE_CHECKING, Any, Self

import orjson

from poller.core.model import ShardId
from support.sim.books import Call
from support.sim.journal import Broken
from support.sim.verdict import verdict

if TYPE_CHECKING:
    from random import Random

    from poller.core.model import Answer, Invocation
    from support.sim.moods import Moods
    from support.sim.process import Process
    from support.sim.scenario import FunctionPlan, MappingPlan

KILL = 0.04
"""Seconds, at the most, until a function that is cut off can do no more harm."""


class SimExecutor:
    """An `Executor`: one function in one process."""

    def __init__(self, process: Process, function: FunctionPlan, moods: Moods, chance: Random) -> None:
        self._process = process
        self._function = function
        self._moods = moods
        self._chance = chance
        self._ledger = process.ledger

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        left = [str(call) for call in self._ledger.running if call.process is self._process]
        if left and self._process.alive:
            self._ledger.fail(f"{self._process.name} closes its executor over {left}")

    async def invoke(self, invocation: Invocation) -> Answer:
        """See `Executor.invoke`."""
        records = orjson.loads(invocation.event)["Records"]
        call = None
        if self._process.alive:
            with self._ledger.checking():
                call = self._began(invocation, records)
        numbers = [orjson.loads(b64decode(record["kinesis"]["data"]))["n"] for record in records]
        ids = [record["kinesis"]["sequenceNumber"] for record in records]
        seconds, answer = self._moods.answer(self._function, numbers, ids)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            await self._kill(call)
            raise
        if call is not None:
            self._ended(call, answer, ids)
        return answer

    async def _kill(self, call: Call | None) -> None:
        """The function is stopped, which takes a moment where anybody is left to wait for it."""
        try:
            if self._process.alive:
                await asyncio.sleep(KILL * self._chance.random())
        finally:
            if call is not None:
                self._cut_off(call)

    # ------------------------------------------------------------------------------------------------------------- checks

    def _began(self, invocation: Invocation, records: list[dict[str, Any]]) -> Call:
        ledger, process = self._ledger, self._process
        plan, shard = self._addressed(records)
        line = ledger.line(plan, shard)
        low = self._first(plan, line.book.places, records)
        high = low + len(records)
        hold = process.holds.get((plan.name, shard))
        if hold is None or (line.epoch != hold.epoch and line.holder != process.name):
            raise Broken(f"{process.name} invokes {line} [{low},{high}) without its lease, which {line.holder} has")
        call = Call(process=process, line=line, hold=hold, low=low, high=high)
        ledger.trace.note(f"invoked {call} {invocation.request_id[:8]}")
        self._check_room(call)
        self._check_invocation(invocation)
        if line.durable is not None and low < line.durable:
            raise Broken(f"{call} is invoked again though everything before {line.durable} is durably done")
        new = hold.invoked(low, high, invocation.request_id, process.now)
        if new and invocation.request_id in ledger.request_ids:
            raise Broken(f"{call} is a new attempt under the request id of another")
        if hold.cursor - line.reached >= ledger.scenario.limits.pending:
            raise Broken(f"{call} is invoked with everything from {line.reached} on not durable yet")
        ledger.request_ids.add(invocation.request_id)
        line.running = call
        ledger.running[call] = None
        process.tally(plan).invoked += high - low
        return call

    def _addressed(self, records: list[dict[str, Any]]) -> tuple[MappingPlan, ShardId]:
        """Whose records these are: one mapping's, of one shard."""
        arns = {record["eventSourceARN"] for record in records}
        shards = {record["eventID"].partition(":")[0] for record in records}
        plans = [each for each in self._ledger.scenario.mappings if each.function == self._function and {each.stream.arn} == arns]
        if len(plans) != 1 or len(shards) != 1:
            raise Broken(f"{self._function.name} is invoked with records of {arns}, {shards}")
        return plans[0], ShardId(shards.pop())

    def _first(self, plan: MappingPlan, places: dict[int, int], records: list[dict[str, Any]]) -> int:
        """The number of the first record, if they follow each other."""
        numbers = [places.get(int(record["kinesis"]["sequenceNumber"]), -1) for record in records]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or numbers[0] < 0:
            raise Broken(f"{plan.name}: a batch of records {numbers} has gaps, or is out of order")
        return numbers[0]

    def _check_room(self, call: Call) -> None:
        """One at a time for a shard, and no more than allowed in a process and for a function."""
        running = [each for each in self._ledger.running if each.process is self._process]
        mine = [each for each in running if each.line.plan.function == self._function]
        if call.line.running is not None:
            raise Broken(f"{call} is invoked while {call.line.running} runs")
        if len(running) >= self._ledger.scenario.concurrency or len(mine) >= self._function.concurrency:
            raise Broken(f"{call} is one too many: {len(mine)} of {self._function}, {len(running)} in the process")

    def _check_invocation(self, invocation: Invocation) -> None:
        due = self._process.clock.time() + self._function.timeout
        if (invocation.arn, invocation.deadline) != (self._function.arn, due):
            raise Broken(f"an invocation of {invocation.arn} has the deadline {invocation.deadline}, not {due}")

    def _ended(self, call: Call, answer: Answer, ids: list[str]) -> None:
        if not self._leave(call):
            return
        plan, tally = call.line.plan, self._process.tally(call.line.plan)
        meaning = verdict(answer, ids, reports=plan.reports)
        self._ledger.trace.note(f"answered {call} {meaning.kind} {meaning.label}")
        if meaning.kind in ("accepted", "partial"):
            call.line.accepted.update(range(call.low, call.high if meaning.kind == "accepted" else call.low + meaning.first))
        then = call.hold.answered(meaning, self._process.now)
        tally.outcomes[meaning.label] += 1
        tally.failed[meaning.reason] += meaning.failed
        tally.retries += then == "retry"
        tally.splits += then == "split"

    def _cut_off(self, call: Call) -> None:
        if not self._leave(call):
            return
        self._ledger.trace.note(f"cut off {call}")
        call.hold.over = True
        self._process.tally(call.line.plan).outcomes["cancelled"] += 1

    def _leave(self, call: Call) -> bool:
        """It runs no more. False where its process is dead: then it never counted."""
        self._ledger.running.pop(call, None)
        if call.line.running is call:
            call.line.running = None
        return self._process.alive
