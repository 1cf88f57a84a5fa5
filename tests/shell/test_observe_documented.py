"""docs/logs.md says what is logged, and nothing else."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest
from structlog.testing import capture_logs
from support.logged import lines
from support.metrics_doc import DOCUMENT
from support.observing import FUNCTION_ERROR, ORDERS, SHARD, Bench, FakeShard, given_up, scrape
from support.queueing import MAILS, message

import poller
from poller.core.memo import Window
from poller.core.model import Accepted, Attempt, Discard, Failed, Figures, Partial, Refused, Returned
from poller.core.report import Shortened
from poller.errors import LeaseLost, SourceGone, Unavailable
from poller.observe.function import FunctionObserver

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(replace(ORDERS, memory_size=128))
    with capture_logs() as log:
        bench.log = log
        yield bench


def tell_everything(bench: Bench) -> None:
    """Every method that logs, and the ways in which its line varies."""
    for outcome in (Accepted(), Failed("timeout", "x"), Partial(frozenset({"1"})), Refused("throttled", detail="x")):
        bench.run(Returned(b"", Figures(duration=0.1, init_duration=0.2, max_memory=3)), outcome)
    window = Window(start=0, end=60, final=True, early=True)
    closing = Attempt(records=(), request_id="r2", window=window)
    bench.run(Returned(b""), Accepted(), closing)
    bench.mapping.window_closed(window, "state_size", SHARD)
    bench.mapping.window_dropped(window, SHARD)
    for discard in (given_up(), replace(given_up(), attempt=closing)):
        bench.mapping.delivered(discard, SHARD)
        bench.mapping.dropped(discard, SHARD)
    bench.mapping.dropped(given_up(), SHARD)
    bench.mapping.dropped(given_up(), SHARD, SourceGone("no such queue"))
    bench.mapping.delivered(given_up(), SHARD, Shortened(size=7))
    bench.mapping.blocked(given_up().attempt, SHARD, Failed("timeout", "x"))
    for _ in range(3):
        bench.mapping.undeliverable(Unavailable("SendMessage", "timeout"))
        bench.mapping.poll_failed(Unavailable("GetRecords", "timeout"), seconds=0)
        bench.mapping.failing("mapping", LeaseLost("gone"))
        bench.mapping.visibility("lost", 3)
        bench.clock.now += 20
    bench.mapping.lease("acquired", SHARD)
    bench.mapping.lease("lost", SHARD)
    bench.mapping.trimmed(SHARD)
    bench.mapping.filter_names_unknown(("Body",))
    bench.mapping.state("Creating")
    bench.mapping.crashed("shard a", ValueError("x"))
    for number in range(101):
        bench.mapping.shard_opened(str(number), FakeShard())
    scrape(bench.metrics)
    function = FunctionObserver(bench.metrics, "handle")
    for line in ("hello", *(f'{{"level": "{level}"}}' for level in ("DEBUG", "warn", "Fatal"))):
        function.output(line, stream="stdout", request_id="r1")
    bench.mapping.breaker("closed")
    bench.mapping.breaker("open")
    bench.mapping.breaker("half_open")
    assert bench.mapping.would_filter(message(1))
    bench.clock.now += 31
    assert bench.mapping.would_filter(message(2))
    assert bench.mapping.would_filter(message(3))
    bench.clock.now += 31
    assert bench.mapping.would_filter(message(4))
    function.limit(0)
    function.limit(1)
    function.initialised(0.1)
    function.ended("oom")
    function.ended("reload")
    function.backing_off(3, 2.0)
    function.not_provisioned("x")


def documented() -> dict[str, tuple[set[str], set[str], set[str]]]:
    """Of every event in docs/logs.md its levels, its fields, and those that may be missing."""
    rows = re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \| ([\w, ()]*) \|", (DOCUMENT.parent / "logs.md").read_text(), re.MULTILINE)
    found = {}
    for event, levels, fields in rows:
        optional = {name for group in re.findall(r"\((.*?)\)", fields) for name in re.findall(r"\w+", group)}
        found[event] = (set(levels.split(", ")), set(re.findall(r"\w+", fields)), optional)
    return found


def test_every_line_has_the_level_and_the_fields_that_the_documentation_says(bench: Bench) -> None:
    tell_everything(bench)
    page = documented()
    seen: dict[str, tuple[set[str], set[str]]] = {}
    for line in bench.log:
        fields = {"exception" if key == "exc_info" else key for key in line} - {"event", "log_level", "mapping", "function"}
        levels, known, optional = page[line["event"]]
        assert known - optional <= fields <= known, line
        assert line["log_level"] in levels
        all_levels, all_fields = seen.setdefault(line["event"], (set(), set()))
        all_levels.add(line["log_level"])
        all_fields |= fields
    for event, (levels, fields) in seen.items():
        assert (levels, fields) == page[event][:2], f"documented for {event}, never seen"
    assert len(seen) == 26


def test_lines_of_a_queue_name_slots_and_messages_where_those_of_a_stream_name_shards_and_sequence_numbers() -> None:
    bench = Bench(MAILS)
    page = (DOCUMENT.parent / "logs.md").read_text()
    with capture_logs() as log:
        of = Attempt(records=(message(1), message(2, receives=4), message(3)), request_id="r1")
        bench.run(FUNCTION_ERROR, Failed("timeout", "x"), of)
        discard = Discard(records=of.records[:1], reason="RetryAttemptsExhausted", attempt=of, invoke_count=3)
        bench.mapping.delivered(discard, "0")
        bench.mapping.dropped(discard, "0")
    names = {"shard": "slot", "first_sequence": "first_message", "last_sequence": "last_message"}
    for line in log:
        _, known, optional = documented()[line["event"]]
        fields = set(line) - {"event", "log_level", "mapping"}
        counts = {"receives", "invocations"} if "first_sequence" in known else set()
        expected = {names.get(name, name) for name in known} | counts
        assert expected - optional <= fields <= expected, line
        assert all(f"`{name}`" in page for name in fields & {*names.values(), "receives", "invocations"})
    batch = log[1]
    assert (batch["first_message"], batch["last_message"], batch["receives"], batch["invocations"]) == ("m1", "m3", 4, 1)


def logged_events() -> set[str]:
    """The names of all events that the source logs."""
    found: set[str] = set()
    for path in Path(poller.__file__).parent.rglob("*.py"):
        if path.parts[-2:] == ("demo", "handler.py"):
            continue  # a function, which logs for itself
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _is_logging(node.func):
                found.update(one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str))
    return found


def _is_logging(function: ast.expr) -> bool:
    """`log.info`, `self._log.info`, `logger().error`, a bound `log`."""
    text = ast.unparse(function)
    return re.search(r"(\blog|_log|logger\(\))(\.(debug|info|warning|error|critical|exception|log))?$", text) is not None


def test_every_event_that_is_logged_is_documented_and_no_other() -> None:
    page = (DOCUMENT.parent / "logs.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(\w+)` \| (?:debug|info|warning|error)", page, re.MULTILINE))
    assert logged_events() == documented


def test_the_samples_in_the_documentation_are_lines_that_we_write() -> None:
    page = (DOCUMENT.parent / "logs.md").read_text(encoding="utf-8")
    samples = [orjson.loads(line) for line in page.splitlines() if line.startswith('{"timestamp"')]
    assert len(samples) >= 3
    program = 'configure("info")\n'
    for sample in samples:
        fields = {key: value for key, value in sample.items() if key not in {"timestamp", "level", "event"}}
        program += f"logger().{sample['level']}({sample['event']!r}, **{fields!r})\n"
    written = lines(program)
    assert [list(line) for line in written] == [list(sample) for sample in samples]
    assert [line | {"timestamp": ""} for line in written] == [sample | {"timestamp": ""} for sample in samples]
