"""What is shown of dead letters, for people and for programs. Bodies are their senders' data: they are shown on demand only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from poller.core.report import iso
from poller.observe.columns import age
from poller.observe.console import CONTROL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from poller.dlq.desk import Tally
    from poller.dlq.letters import FailureDocument, Letter

EXCERPT: Final = 60
"""Characters of a body in a table."""


def table(letters: Sequence[Letter], now: float, *, bodies: bool, documents: bool) -> Iterator[str]:
    """A line each; with `documents` those of streams are told of as what they are."""
    rows = [_heads(bodies=bodies, documents=documents)]
    rows += [_row(letter, now, bodies=bodies, documents=documents) for letter in letters]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _heads(*, bodies: bool, documents: bool) -> list[str]:
    of_documents = ["CONDITION", "SHARD", "FIRST SEQUENCE NUMBER", "RECORDS", "PAYLOAD"]
    of_messages = ["FIRST RECEIVED", "GROUP"]
    return ["ID", "SENT", "AGE", "RECEIVES", "BYTES", *(of_documents if documents else of_messages), *["BODY"][: int(bodies)]]


def _row(letter: Letter, now: float, *, bodies: bool, documents: bool) -> list[str]:
    head = [letter.id, iso(letter.sent_at), age(now - letter.sent_at), str(letter.receives), str(letter.size)]
    document = letter.document if documents else None
    if document is not None:
        more = [document.condition, document.shard, document.first, str(document.records), "yes" if document.payload else "no"]
    elif documents:
        more = ["-"] * 5
    else:
        more = [iso(letter.first_received_at), letter.group or "-"]
    return [*head, *map(printable, more), *[excerpt(letter.body)][: int(bodies)]]


def excerpt(body: str) -> str:
    """The beginning, on one line."""
    line = " ".join(body[: 4 * EXCERPT].split())
    return printable(line[:EXCERPT]) + ("..." if len(line) > EXCERPT or len(body) > 4 * EXCERPT else "")


def printable(text: str, keep: str = "") -> str:
    """Without what may do more to a terminal than show a character."""
    return CONTROL.sub(lambda found: found[0] if found[0] in keep else found[0].encode("unicode_escape").decode(), text)


def whole(letter: Letter) -> Iterator[str]:
    """One message, with its body as it is."""
    yield f"MessageId: {letter.id}"
    for name, value in sorted(letter.system.items()):
        said = f" ({iso(int(value) / 1000)})" if name.endswith("Timestamp") and value.isdecimal() else ""
        yield printable(f"{name}: {value}{said}")
    for name, attribute in sorted(letter.raw.get("MessageAttributes", {}).items()):
        value = attribute.get("StringValue", attribute.get("BinaryValue", ""))
        yield printable(f"attribute {name} ({attribute['DataType']}): {value}")
    yield f"bytes: {letter.size}"
    yield ""
    yield printable(letter.body, keep="\n\t")


def as_json(letter: Letter, now: float, *, body: bool, documents: bool) -> dict[str, object]:
    """One message, for programs."""
    told: dict[str, object] = {
        "id": letter.id,
        "sent_at": iso(letter.sent_at),
        "first_received_at": iso(letter.first_received_at),
        "age_seconds": round(max(0.0, now - letter.sent_at), 3),
        "receives": letter.receives,
        "group": letter.group or None,
        "source": letter.source or None,
        "bytes": letter.size,
    }
    if documents and (document := letter.document) is not None:
        told["document"] = _document(document)
    if body:
        told["body"] = letter.body
    return told


def _document(document: FailureDocument) -> dict[str, object]:
    return {
        "condition": document.condition,
        "stream": document.stream,
        "shard": document.shard,
        "first_sequence_number": document.first,
        "last_sequence_number": document.last,
        "records": document.records,
        "at": document.at,
        "has_payload": document.payload is not None,
    }


def everything(letter: Letter) -> str:
    """One message as SQS hands it out, but for its handle, which ends with this command."""
    return json.dumps(
        {name: value for name, value in letter.raw.items() if name != "ReceiptHandle"}, indent=2, ensure_ascii=False
    )


def result(tally: Tally, what: str) -> Iterator[str]:
    """What came of it. `what`: `redriven to orders`, `deleted`."""
    yield f"{_messages(tally.done)} {what}"
    yield from stayed(tally)
    if tally.twice:
        yield f"{_messages(len(tally.twice))} done but still in the dead-letter queue, not deleted: {_some(tally.twice)}"
    if tally.doubtful:
        yield f"up to {tally.doubtful} may be there twice: sending them got no answer, and was repeated"


def stayed(tally: Tally) -> Iterator[str]:
    """What stays where it is, and why."""
    if tally.unwanted:
        yield f"{_messages(tally.unwanted)} not wanted by the filter"
    for reason, count in tally.left.most_common():
        yield printable(f"{_messages(count)} stayed: each {reason}")


def plan(tally: Tally, what: str) -> Iterator[str]:
    """What would be done."""
    yield f"{_messages(tally.meant)} would be {what}"
    if tally.samples:
        yield f"  for example {', '.join(tally.samples)}"
    yield from stayed(tally)


def _messages(count: int) -> str:
    return f"{count:,} message{'' if count == 1 else 's'}"


def _some(ids: set[str]) -> str:
    shown = sorted(ids)[:10]
    return ", ".join(shown) + (", ..." if len(ids) > len(shown) else "")
