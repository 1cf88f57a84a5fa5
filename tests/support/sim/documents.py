"""The documents that arrive in the dead-letter queue, read as any consumer would."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import orjson

from support.sim.stored import Shown, read_shown

Context = Literal["absent", "reported", "unhandled"]
"""Of `responseContext`: not there; there with a null `functionError`; there with "Unhandled"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One discarded batch. Times are in Unix seconds, to the millisecond. `shown`: its window, without its state.

    One of no records (`first` is None) is an invocation that was to close a window.
    """

    function_arn: str
    stream_arn: str
    shard: str
    first: int | None
    last: int | None
    size: int
    arrived_first: float
    arrived_last: float
    at: float
    condition: str
    count: int
    request_id: str
    context: Context
    shown: Shown | None


def read_document(body: str) -> Document:
    """Raises `KeyError` or `ValueError` where it is not what Lambda sends."""
    document = orjson.loads(body)
    table = "DDBStreamBatchInfo" in document
    request, info = document["requestContext"], document["DDBStreamBatchInfo" if table else "KinesisBatchInfo"]
    of = seconds if not table else whole_seconds
    empty = info.keys() == {"shardId", "streamArn"} and document["timeWindowInfo"]["isFinalInvokeForWindow"]
    return Document(
        function_arn=request["functionArn"],
        stream_arn=info["streamArn"],
        shard=info["shardId"],
        first=None if empty else int(info["startSequenceNumber"]),
        last=None if empty else int(info["endSequenceNumber"]),
        size=0 if empty else info["batchSize"],
        arrived_first=0.0 if empty else of(info["approximateArrivalOfFirstRecord"]),
        arrived_last=0.0 if empty else of(info["approximateArrivalOfLastRecord"]),
        at=seconds(document["timestamp"]),
        condition=request["condition"],
        count=request["approximateInvokeCount"],
        request_id=request["requestId"],
        context=_context(document),
        shown=read_shown({"state": {}} | document["timeWindowInfo"]) if "timeWindowInfo" in document else None,
    )


def seconds(text: str) -> float:
    """`2019-11-14T00:38:06.021Z` in Unix seconds."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()


def whole_seconds(text: str) -> float:
    """`2019-11-14T00:38:06Z` in Unix seconds."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp()


def _context(document: dict[str, dict[str, object]]) -> Context:
    if "responseContext" not in document:
        return "absent"
    context = document["responseContext"]
    if context["statusCode"] != 200 or context["executedVersion"] != "$LATEST":
        raise ValueError(f"responseContext {context}")
    return "reported" if context["functionError"] is None else "unhandled"
