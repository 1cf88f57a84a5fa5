"""Watches a process's invocations of one function with records of streams."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any

import orjson

from poller.core.model import ShardId
from support.sim.books import Call
from support.sim.journal import Broken
from support.sim.verdict import verdict
from support.sim.watching import check_invocation, check_room

if TYPE_CHECKING:
    from poller.core.model import Answer, Invocation
    from support.sim.process import Process
    from support.sim.scenario import FunctionPlan, MappingPlan


class StreamWatch:
    """One function in one process."""

    def __init__(self, process: Process, function: FunctionPlan) -> None:
        self._process = process
        self._function = function
        self._ledger = process.ledger

    @staticmethod
    def named(record: dict[str, Any]) -> tuple[int, str]:
        """A record's number, and what a partial answer calls it."""
        return orjson.loads(b64decode(record["kinesis"]["data"]))["n"], record["kinesis"]["sequenceNumber"]

    def began(self, invocation: Invocation, records: list[dict[str, Any]]) -> Call:
        """These are invoked. Raises `Broken` where they may not be."""
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
        if line.running is not None:
            raise Broken(f"{call} is invoked while {line.running} runs")
        check_room(ledger, call)
        check_invocation(process, self._function, invocation)
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

    def ended(self, call: Call, answer: Answer, ids: list[str]) -> None:
        """The function has answered."""
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

    def cut_off(self, call: Call) -> None:
        """The function was stopped."""
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
