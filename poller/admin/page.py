"""The page at `/`: the document of `/status` as tables, with no script and nothing from elsewhere. It loads itself anew."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from poller.observe.columns import age, resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Fields = dict[str, Any]

REFRESH: Final = 5
"""Seconds."""

TROUBLED: Final = frozenset({"blocked", "retrying"})
"""States of lanes that somebody should know of."""

MOST_SHARDS: Final = 100
"""Of a mapping, on the page; `/status` has all."""

HEAD: Final = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="{REFRESH}">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>poller</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 0.95rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }}
h1 {{ font-size: 1.4rem; margin-bottom: 0.2rem }} h2 {{ font-size: 1.05rem; margin: 2rem 0 0.3rem }}
p {{ margin: 0.2rem 0 }} .quiet {{ color: GrayText }} .wrong {{ color: #c62828 }} .slow {{ color: #b26a00 }}
.scroll {{ overflow-x: auto }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }}
th, td {{ text-align: left; padding: 0.25rem 1rem 0.25rem 0; border-bottom: 1px solid #8884 }}
th {{ font-weight: 600; white-space: nowrap }} td {{ vertical-align: top }}
.position {{ font-family: ui-monospace, monospace; font-size: 0.85em; overflow-wrap: anywhere }}
@media (prefers-color-scheme: dark) {{ .wrong {{ color: #ff8a80 }} .slow {{ color: #ffcc80 }} }}
</style></head><body>
"""

LINKS: Final = """<p class="quiet"><a href="/status">/status</a> as JSON, <a href="/metrics">/metrics</a> for Prometheus,
<a href="/livez">/livez</a>, <a href="/readyz">/readyz</a>, <a href="/startupz">/startupz</a></p>
"""


def page(document: Fields | None) -> str:
    """The whole page; None: the daemon is still starting."""
    return HEAD + "".join(_body(document)) + "</body></html>\n"


def _body(document: Fields | None) -> Iterator[str]:
    if document is None:
        yield f"<h1>poller</h1><p>starting</p>{LINKS}"
        return
    standing = "draining" if document["draining"] else "ready" if document["ready"] else "not ready"
    load = f"{document['in_flight']:,} of {document['concurrency_limit']:,} invocations in flight"
    yield f"<h1>poller <span{_class('' if document['ready'] else 'wrong')}>{standing}</span></h1>\n"
    yield f'<p class="quiet">{escape(document["owner"])} &middot; version {escape(document["version"])} &middot; {load}'
    yield f" &middot; store {escape(document['store'])} &middot; {escape(document['at'])}</p>\n"
    yield from (f'<p class="wrong">{escape(check)}</p>\n' for check in document["checks"] if check.startswith("[-]"))
    yield LINKS
    yield "<h2>Mappings</h2>"
    yield from _table(("mapping", "state", "source", "function", "oldest record", "at work"), map(_mapping, document["mappings"]))
    for mapping in document["mappings"]:
        yield from _below(mapping)


def _mapping(mapping: Fields) -> list[str]:
    source = f"{mapping['source_type']} {resource(mapping['source'])}"
    oldest = max((shard["iterator_age"] for shard in mapping["shards"]), default=None)
    queue = mapping["queue"]
    if queue is None:
        work = f"{len(mapping['shards'])} shards, {mapping['waiting_for_parent']} waiting, {mapping['finished']} finished"
    else:
        work = f"{queue['slots']} slots, {_count(queue['visible'])} messages waiting, {_count(queue['in_flight'])} in flight"
        work += f", circuit breaker {queue['breaker']}" if queue["breaker"] not in {None, "closed"} else ""
    cells = [mapping["name"], mapping["state"], source, mapping["function"]]
    return [*(_cell(cell) for cell in cells), _cell(_age(oldest)), _cell(work)]


def _below(mapping: Fields) -> Iterator[str]:
    error, shards = mapping["last_error"], mapping["shards"]
    if error is None and not shards:
        return
    yield f"<h2>{escape(mapping['name'])}</h2>\n"
    if error is not None:
        told = f"{error['what']}: {error['kind']}: {error['text']}"
        times = f" ({error['times']:,} times since {error['since']})" if error["times"] > 1 else ""
        yield f'<p class="wrong">last error {_age(error["age"])} ago{escape(times)}: {escape(told)}</p>\n'
    if not shards:
        return
    shown = sorted(sorted(shards, key=_lag, reverse=True)[:MOST_SHARDS], key=lambda each: str(each["shard"]))
    heads = ("shard", "state", "done up to", "oldest record", "behind", "records held")
    yield from _table(heads, (row for shard in shown for row in _rows(shard)))
    if len(shown) < len(shards):
        yield f'<p class="quiet">and {len(shards) - len(shown)} more, which lag less</p>\n'


def _lag(shard: Fields) -> float:
    return float(shard["iterator_age"])


def _rows(shard: Fields) -> Iterator[list[str]]:
    mark = "slow" if shard["state"] == "blocked" else ""
    yield [
        _cell(shard["shard"]),
        _cell(shard["state"], mark),
        _cell(shard["position"] or "nothing yet", "position"),
        _cell(_age(shard["iterator_age"]), mark),
        _cell(_age(shard["behind"])),
        _cell(_count(shard["buffered_records"])),
    ]
    if shard["read_error"]:
        yield [_cell(""), _cell("cannot be read", "wrong"), _cell(shard["read_error"]), *[_cell("")] * 3]
    for lane in shard["lanes"]:
        if lane["state"] in TROUBLED or (len(shard["lanes"]) > 1 and lane["state"] != "idle"):
            yield _lane(lane)


def _lane(lane: Fields) -> list[str]:
    mark = "slow" if lane["state"] in TROUBLED else ""
    return [
        _cell(f"lane {lane['index']}", "quiet"),
        _cell(lane["state"], mark),
        _cell(lane["error"] or ""),
        _cell(_age(lane["oldest_age"]), mark),
        _cell(""),
        _cell(_count(lane["queued"] + lane["taken"])),
    ]


def _table(heads: Iterable[str], rows: Iterable[list[str]]) -> Iterator[str]:
    yield '<div class="scroll"><table><tr>' + "".join(f"<th>{escape(head)}</th>" for head in heads) + "</tr>\n"
    yield from (f"<tr>{''.join(row)}</tr>\n" for row in rows)
    yield "</table></div>\n"


def _cell(text: str, kind: str = "") -> str:
    return f"<td{_class(kind)}>{escape(text)}</td>"


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _age(seconds: float | None) -> str:
    return "" if seconds is None else age(seconds)
