"""Watches a process's invocations of one function with records of streams."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any

import orjson

from poller.core.model import ShardId
from support.sim.books import Asked, Call
from support.sim.journal import Broken
from support.sim.stored import read_shown
from support.sim.verdict import verdict
from support.sim.watching import check_invocation, check_room

if TYPE_CHECKING:
    from poller.core.model import Answer, Invocation
    from support.sim.books import Line
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
        if record["eventSource"] == "aws:dynamodb":
            return int(record["dynamodb"]["NewImage"]["n"]["N"]), record["dynamodb"]["SequenceNumber"]
        return orjson.loads(b64decode(record["kinesis"]["data"]))["n"], record["kinesis"]["sequenceNumber"]

    def began(self, invocation: Invocation, event: dict[str, Any]) -> Call:
        """This is invoked. Raises `Broken` where it may not be."""
        ledger, process = self._ledger, self._process
        plan, shard = self._addressed(event)
        line = ledger.line(plan, shard)
        lane, run = self._run(line, event["Records"])
        hold = process.holds.get((plan.name, shard))
        if hold is None or (line.epoch != hold.epoch and line.holder != process.name):
            raise Broken(f"{process.name} invokes {line} {run} without its lease, which {line.holder} has")
        call = Call(process=process, line=line, hold=hold, lane=lane, run=run)
        ledger.trace.note(f"invoked {call} {invocation.request_id[:8]}")
        if lane in line.running:  # and so no two at once that share a key, nor more than there are lanes
            raise Broken(f"{call} is invoked while {line.running[lane]} runs")
        check_room(ledger, call)
        check_invocation(process, self._function, invocation)
        if line.durable is not None and call.numbers and call.numbers[0] < line.durable:
            raise Broken(f"{call} is invoked again though everything before {line.durable} is durably done")
        self._check_parents(call)
        asked = Asked(run=run, request_id=invocation.request_id, shown=read_shown(event))
        new = hold.invoked(lane, asked, process.now)
        if new and invocation.request_id in ledger.request_ids:
            raise Broken(f"{call} is a new attempt under the request id of another")
        if plan.factor == 1 and hold.cursor - line.reached >= ledger.scenario.limits.pending:
            raise Broken(f"{call} is invoked with everything from {line.reached} on not durable yet")
        ledger.request_ids.add(invocation.request_id)
        line.running[lane] = call
        ledger.running[call] = None
        process.tally(plan).invoked += len(run)
        return call

    def _check_parents(self, call: Call) -> None:
        """Every record of every parent is durably done, whoever did it."""
        for parent in call.line.book.parents:
            before = self._ledger.line(call.line.plan, parent)
            if not (before.finished and before.done):
                raise Broken(f"{call} is invoked, and its parent {before} is at {before.reached} of {len(before.book.entries)}")

    def _addressed(self, event: dict[str, Any]) -> tuple[MappingPlan, ShardId]:
        """Whose records these are: one mapping's, of one shard. In a window the event says it as well."""
        arns = {record["eventSourceARN"] for record in event["Records"]}
        shards = {self._shard(record) for record in event["Records"]}
        if "window" in event:
            arns.add(event["eventSourceARN"])
            shards.add(event["shardId"])
        plans = [each for each in self._ledger.scenario.mappings if each.function == self._function and {each.stream.arn} == arns]
        if len(plans) != 1 or len(shards) != 1:
            raise Broken(f"{self._function.name} is invoked with records of {arns}, {shards}")
        return plans[0], ShardId(shards.pop())

    def _shard(self, record: dict[str, Any]) -> str:
        """Kinesis says it; of a table's stream only the books do."""
        if record["eventSource"] == "aws:kinesis":
            return str(record["eventID"].partition(":")[0])
        sequence, books = int(record["dynamodb"]["SequenceNumber"]), self._ledger.books
        return next(shard for (arn, shard), book in books.items() if sequence in book.places and arn == record["eventSourceARN"])

    def _run(self, line: Line, records: list[dict[str, Any]]) -> tuple[int, range]:
        """The lane of these records, and their numbers in it, if they are all in it and follow each other."""
        if not records:
            return 0, range(0)
        sequences = [int(self.named(record)[1]) for record in records]
        lane = line.book.lane(sequences[0], line.plan.factor)
        row = line.book.rows(line.plan.factor)[lane]
        numbers = [row.index(sequence) for sequence in sequences]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            raise Broken(f"{line}: a batch of records {numbers} of lane {lane} has gaps, or is out of order")
        return lane, range(numbers[0], numbers[-1] + 1)

    def ended(self, call: Call, answer: Answer, ids: list[str]) -> None:
        """The function has answered."""
        if not self._leave(call):
            return
        plan, tally = call.line.plan, self._process.tally(call.line.plan)
        meaning = verdict(answer, ids, reports=plan.reports, tumbling=plan.tumbling > 0)
        self._ledger.trace.note(f"answered {call} {meaning.kind} {meaning.label}")
        if meaning.kind in ("accepted", "partial"):
            call.line.accepted.update(call.numbers if meaning.kind == "accepted" else call.numbers[: meaning.first])
        then = call.hold.answered(call.lane, meaning, self._process.now)
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
        if call.line.running.get(call.lane) is call:
            del call.line.running[call.lane]
        return self._process.alive
