"""How destinations that take documents are told of what was given up."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from poller.core.report import MessageReport, document, place_of, shortened
from poller.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from poller.core.report import Report, Shortened


async def tell(report: Report, send: Callable[[bytes], Awaitable[None]], *, payload: bool) -> Shortened | None:
    """Sends a report's document: with the payload where that is wanted, without it where the other side refuses it so.

    Records of a stream can be read again, so a document that is too large must not hold up their shard. A message of a queue
    is deleted once it is reported: its document always has it, whatever is wanted.
    """
    message = isinstance(report, MessageReport)
    try:
        await send(document(report, payload=payload or message))
    except Unavailable as error:
        if error.kind != "other" or message or not payload:  # services differ in how they say that something is too large
            raise
    else:
        return None
    short, left_out = shortened(report)
    await send(short)
    return left_out


def report_id(report: Report) -> str:
    """A UUID that follows from what was given up and when: of a report that is sent again it is the same."""
    ends = " ".join(each.id for each in (*report.records[:1], *report.records[-1:]))  # a window may have closed without records
    return str(uuid5(UUID(report.mapping), f"{place_of(report)} {report.at!r} {ends}"))
