"""The document for people: mappings, and below each what is to be said of its shards."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from poller.observe.columns import age, columns, resource
from poller.observe.console import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

Fields = dict[str, Any]

RED: Final = "\x1b[31m"
YELLOW: Final = "\x1b[33m"
RESET: Final = "\x1b[0m"

MOST_SHARDS: Final = 50
"""Of a mapping, unless all are asked for: those that lag most."""

STATES: Final = {
    "blocked": "blocked",
    "open": "open",
    "held": "held",
    "free": "free",
    "waiting": "waiting for parents",
    "finished": "finished",
}
"""Of shards. `held`: at work elsewhere, as far as the store knows; `free`: at work nowhere."""

TROUBLED: Final = frozenset({"blocked", "retrying"})


def lines(document: Fields, *, whole: bool, colours: bool) -> Iterator[str]:
    """`whole`: finished shards too, and all of the others."""
    yield from _head(document)
    yield ""
    yield from columns([["MAPPING", "STATE", "SOURCE", "FUNCTION", "AGE", "WORK"], *map(_row, document["mappings"])])
    for mapping in document["mappings"]:
        yield from _below(mapping, whole=whole, colours=colours)


def _head(document: Fields) -> Iterator[str]:
    store, daemon = document["store"], document["daemon"]
    yield f"store   {printable(store['problem'] or store['url'])}"
    if daemon["problem"] is not None:
        where = f" at {daemon['address']}" if daemon["address"] else ""
        alone = "" if store["problem"] is not None else "; what follows is the store's word alone"
        yield f"daemon  none answers{where}: {printable(daemon['problem'])}{alone}"
        return
    standing = "draining" if daemon["draining"] else "ready" if daemon["ready"] else "not ready"
    load = f"{daemon['in_flight']:,} of {daemon['concurrency_limit']:,} invocations in flight"
    yield printable(f"daemon  {daemon['owner']} at {daemon['address']}: {standing}, {load}")
    if daemon.get("store") not in (None, store["url"]):
        yield printable(f"        its store is {daemon['store']}, which is not this one: is it the one that is meant?")
    if not daemon["ready"]:
        yield from (f"        {printable(check)}" for check in daemon["checks"] if check.startswith("[-]"))


def _row(mapping: Fields) -> list[str]:
    named = resource(mapping["source"])
    source = f"{mapping['source_type']} {named.partition('/')[2].partition('/')[0] or named}"
    work = _slots(mapping["queue"]) if "shards" not in mapping else _counted(mapping)
    return [mapping["name"], mapping["state"] or "-", source, mapping["function"], _age(mapping.get("iterator_age")), work]


def _counted(mapping: Fields) -> str:
    if mapping["enrolled"] is False and not mapping["shards"]:
        return "has not run yet"
    numbers = Counter(each["state"] for each in mapping["shards"])
    numbers |= {"waiting": mapping["waiting_for_parent"] or 0, "finished": mapping["finished"] or 0}
    counted = ", ".join(f"{numbers[state]:,} {said}" for state, said in STATES.items() if numbers[state])
    return counted or ("-" if mapping["enrolled"] is None else "no shards")


def _slots(queue: Fields | None) -> str:
    if queue is None:
        return "-"
    told = f"{queue['slots']} slots"
    if queue["visible"] is not None:
        told += f"; {queue['visible']:,} messages visible, {queue['in_flight']:,} in flight, {queue['delayed']:,} delayed"
    return told + (f"; circuit breaker {queue['breaker']}" if queue["breaker"] not in {None, "closed"} else "")


def _below(mapping: Fields, *, whole: bool, colours: bool) -> Iterator[str]:
    error = mapping["last_error"]
    shards = [each for each in mapping.get("shards", []) if whole or each["state"] != "finished"]
    if error is None and not shards:
        return
    yield ""
    yield mapping["name"]
    if error is not None:
        times = f", {error['times']:,} times since {error['since']}" if error["times"] > 1 else ""
        told = f"last error {age(error['age'])} ago{times}: {error['what']}: {error['kind']}: {error['text']}"
        yield "  " + _painted(printable(told), RED if colours else "")
    yield from _table(shards, whole=whole, colours=colours)


def _table(shards: list[Fields], *, whole: bool, colours: bool) -> Iterator[str]:
    shown = shards if whole else sorted(shards, key=_lag, reverse=True)[:MOST_SHARDS]
    shown.sort(key=lambda each: str(each["shard"]))
    rows: list[tuple[list[str], bool]] = []
    for each in shown:
        rows.append((_shard(each), each["state"] in TROUBLED))
        lanes = each.get("lanes", [])
        rows += [(_lane(lane), lane["state"] in TROUBLED) for lane in lanes if _worth(lane, alone=len(lanes) == 1)]
    if rows:
        heads = ["SHARD", "STATE", "POSITION", "AGE", "BEHIND", "RECORDS", "HELD BY"]
        head, *rest = columns([heads, *(row for row, _ in rows)])
        yield f"  {head}"
        yield from (
            "  " + _painted(line, YELLOW if colours and troubled else "") for line, (_, troubled) in zip(rest, rows, strict=True)
        )
    if len(shown) < len(shards):
        yield f"  ... and {len(shards) - len(shown)} that lag less: --all shows them"
    yield from (f"  {printable(line)}" for each in shown for line in _errors(each))


def _lag(shard: Fields) -> float:
    return float(shard.get("iterator_age", 0.0))


def _worth(lane: Fields, *, alone: bool) -> bool:
    """Whether a lane is more than its shard says already."""
    return lane["state"] in TROUBLED or (not alone and lane["state"] != "idle")


def _shard(shard: Fields) -> list[str]:
    return [
        shard["shard"],
        shard["state"],
        shard.get("position") or "-",
        _age(shard.get("iterator_age")),
        _age(shard.get("behind")),
        f"{shard['buffered_records']:,}" if "buffered_records" in shard else "-",
        shard.get("owner") or "-",
    ]


def _lane(lane: Fields) -> list[str]:
    tries = f"{lane['retries']} retries" if lane["retries"] else f"{lane['refusals']} refusals" if lane["refusals"] else ""
    return [
        f"  lane {lane['index']}",
        lane["state"],
        tries,
        _age(lane["oldest_age"]),
        "",
        f"{lane['queued'] + lane['taken']:,}",
        "",
    ]


def _errors(shard: Fields) -> Iterator[str]:
    if shard.get("read_error"):
        yield f"{shard['shard']} cannot be read: {shard['read_error']}"
    for lane in shard.get("lanes", []):
        if lane["error"]:
            yield f"{shard['shard']} lane {lane['index']} fails for {age(lane['failing_for'] or 0.0)}: {lane['error']}"


def _age(seconds: float | None) -> str:
    return "-" if seconds is None else age(seconds)


def _painted(text: str, colour: str) -> str:
    return f"{colour}{text}{RESET}" if colour else text
