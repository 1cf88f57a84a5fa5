"""What must be true once everything is over."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from support.sim.documents import read_document
from support.sim.figures import leases_owned
from support.sim.scenario import ACCOUNT, QUEUE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.apis.memory_sqs import MemoryQueues
    from support.sim.books import Line
    from support.sim.documents import Document
    from support.sim.ledger import Ledger
    from support.sim.process import Process
    from support.sim.store import SimContents


def unread(ledger: Ledger, contents: SimContents, living: Sequence[Process]) -> list[str]:
    """What keeps each unfinished shard from having its reader: the store has to know of one, and the one of itself."""
    owners = {line: contents.owner(line) for line in ledger.lines() if not line.finished}
    names = [process.name for process in living]
    found = [f"{line} is held by {owner}" for line, owner in owners.items() if owner not in names]
    for process in living:
        held = Counter(line.plan.name for line, owner in owners.items() if owner == process.name)
        for name, owned in leases_owned(process).items():
            if owned != held[name]:
                found.append(f"{process.name} reads {owned:.0f} shards for {name}, and holds {held[name]}")
    return found


def check_outcome(ledger: Ledger, contents: SimContents, queues: MemoryQueues) -> None:
    """Nothing is lost: each record was accepted, or is covered by a document in the queue, or was given up by right."""
    documents = [read_document(message.body) for message in queues.messages(f"arn:aws:sqs:{ACCOUNT}:{QUEUE}")]
    for line in ledger.lines():
        lost = set(range(line.begin, len(line.book.entries))) - line.accepted - line.silent - _covered(line, documents)
        if lost:
            ledger.fail(f"{line}: records {sorted(lost)} are lost")
        if not line.done:
            ledger.fail(f"{line}: {line.reached} of {len(line.book.entries)} are durably done")
        for call in line.running.values():
            ledger.fail(f"{call} runs for ever")
        _check_given_back(ledger, line, contents.owner(line))


def _covered(line: Line, documents: Sequence[Document]) -> set[int]:
    """The records that are in a document of this mapping and shard."""
    whose = line.plan.function.arn, line.book.stream, line.book.shard
    return {
        number
        for document in documents
        if (document.function_arn, document.stream_arn, document.shard) == whose
        for number in line.covered(document)
    }


def _check_given_back(ledger: Ledger, line: Line, owner: str | None) -> None:
    """Everybody has drained, so nobody holds a lease, unless it was granted when its process had stopped waiting for it."""
    hold = ledger.processes[owner].holds.get((line.plan.name, line.book.shard)) if owner else None
    if hold is not None and hold.epoch == line.epoch:
        ledger.fail(f"everybody has drained, and {owner} has not given {line} back")
