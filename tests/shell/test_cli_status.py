"""`poller status`, `/status` and the page: from the store, from the daemon, from both, and from neither."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from contextlib import contextmanager
from html.parser import HTMLParser
from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest
from support.checkpoints import HOLDER, ONE, ORDERS, THREE, TWO, Place
from support.site import Site

from poller import __version__
from poller.admin.page import page
from poller.cli import main
from poller.status.asking import reachable
from poller.status.table import lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LANE = {"state": "idle", "queued": 0, "taken": 0, "oldest_age": None, "retries": 0, "refusals": 0, "failing_for": None}
SHARD = {
    "shard": TWO,
    "position": "200",
    "iterator_age": 65.5,
    "behind": 0.0,
    "buffered_records": 1_234,
    "buffered_bytes": 9,
    "state": "blocked",
    "read_error": None,
    "lanes": [
        {"index": 0, **LANE, "error": None},
        {"index": 1, **LANE, "state": "running", "oldest_age": 1.0, "queued": 4, "error": None},
        {
            **LANE,
            "index": 2,
            "state": "retrying",
            "oldest_age": 65.5,
            "taken": 3,
            "retries": 7,
            "failing_for": 61.0,
            "error": "function_error: <b>no such order</b>\x1b[31m",
        },
    ],
}
ERROR = {"what": "function", "kind": "function_error", "text": "<b>no such order</b>\x1b[31m", "times": 8}
MAPPING = {
    "name": "orders",
    "uuid": ORDERS,
    "source": "arn:aws:kinesis:us-east-1:000000000000:stream/orders",
    "source_type": "kinesis",
    "function": "f",
    "state": "Enabled",
    "last_error": ERROR | {"since": "2026-01-01T00:00:00.000Z", "last": "2026-01-01T00:01:00.000Z", "age": 2.5},
    "last_success": None,
    "shards": [SHARD],
    "waiting_for_parent": 1,
    "finished": 1,
    "queue": None,
}
MAILS = MAPPING | {
    "name": "mails",
    "source": "arn:aws:sqs:us-east-1:000000000000:mails",
    "source_type": "sqs",
    "last_error": None,
    "shards": [],
    "queue": {"slots": 2, "in_hand_bytes": 9, "visible": 1_500, "in_flight": 3, "delayed": 0, "breaker": "open"},
}
DAEMON = {
    "version": "1",
    "owner": HOLDER,
    "at": "2026-01-01T00:01:02.000Z",
    "ready": False,
    "draining": False,
    "checks": ["[+]config ok", "[-]store not answering since 3 s"],
    "store": "sqlite:///poller.db",
    "in_flight": 3,
    "concurrency_limit": 1_000,
    "functions": {"f": {"in_flight": 3, "limit": 5}},
    "mappings": [MAPPING, MAILS],
}


@pytest.fixture
def place(tmp_path: Path, aws_environment: dict[str, str]) -> Place:  # not async: it runs loops of its own
    made = Place(tmp_path)
    made.enrol()
    made.finish()
    made.hold()
    return made


def site(document: dict[str, object] | None) -> Site:
    """A listener that shows this document; None: one that is still starting."""
    made = Site()

    async def write() -> dict[str, object]:
        return document or {}

    if document is not None:
        made.board.show(write)
    return made


@contextmanager
def daemon(document: dict[str, object] | None) -> Iterator[str]:
    """One that answers from a thread of its own, as the command has the main one; its address."""
    address: Queue[str] = Queue()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with (listener := site(document)).server:
            address.put(f"127.0.0.1:{listener.server.port}")
            await over.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield address.get(timeout=20)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(20)


def status(place: Place, address: str, *arguments: str) -> int:
    return main(["status", *arguments, "-c", place.config, "--daemon", address])


def test_without_a_daemon_the_store_alone_is_shown(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "-c", place.config]) == 0
    shown = capsys.readouterr().out
    assert "daemon  none answers at 127.0.0.1:1: " in shown
    assert re.search(r"orders +- +kinesis orders +f +- +1 held, 1 finished\n", shown)
    assert re.search(r"copy +- +kinesis orders +g +- +has not run yet\n", shown)
    assert re.search(rf"{TWO} +held +200 +- +- +- +{HOLDER}\n", shown)
    assert ONE not in shown, "finished shards are shown on demand"
    assert main(["status", "orders", "--all", "-c", place.config]) == 0
    shown = capsys.readouterr().out
    assert ONE in shown
    assert "copy" not in shown


def test_programs_get_null_for_what_only_a_daemon_knows(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "orders", "-o", "json", "-c", place.config]) == 0
    document = json.loads(capsys.readouterr().out)
    [mapping] = document["mappings"]
    assert document["store"]["problem"] is None
    assert document["functions"] is None
    assert (mapping["state"], mapping["last_error"], mapping["iterator_age"], mapping["enrolled"]) == (None, None, None, True)
    assert [(each["shard"], each["state"], each["owner"]) for each in mapping["shards"]] == [
        (ONE, "finished", None),
        (TWO, "held", HOLDER),
    ]


def test_the_daemon_adds_what_it_knows_to_what_the_store_does(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    with daemon(DAEMON) as address:
        assert status(place, address, "-o", "json") == 0
        document = json.loads(capsys.readouterr().out)
        orders, _, _, mails = document["mappings"]
        assert document["daemon"]["address"] == address
        assert (document["daemon"]["owner"], document["functions"]) == (HOLDER, DAEMON["functions"])
        assert [each["state"] for each in orders["shards"]] == ["finished", "blocked"]
        assert orders["shards"][1]["owner"] == HOLDER
        assert orders["iterator_age"] == 65.5
        assert [lane["oldest_age"] for lane in orders["shards"][1]["lanes"]] == [None, 1.0, 65.5]
        assert mails["queue"]["slots"] == 2
        assert status(place, address) == 0
    shown = capsys.readouterr().out
    for row in (
        rf"daemon  {HOLDER} at 127\.0\.0\.1:\d+: not ready, 3 of 1,000 invocations in flight",
        r"        \[-\]store not answering since 3 s",
        r"orders +Enabled +kinesis orders +f +1 min 5 s +1 blocked, 1 waiting for parents, 1 finished",
        r"mails +Enabled +sqs mails +f +- +2 slots; 1,500 messages visible, 3 in flight, 0 delayed; circuit breaker open",
        r"  last error 2 s ago, 8 times since 2026-01-01T00:00:00.000Z: function: function_error: <b>no such order</b>\\x1b\[31m",
        rf"  {TWO} +blocked +200 +1 min 5 s +0 s +1,234 +{HOLDER}",
        r"    lane 1 +running +1 s +4",
        r"    lane 2 +retrying +7 retries +1 min 5 s +3",
        rf"  {TWO} lane 2 fails for 1 min 1 s: function_error: .*",
    ):
        assert re.search(rf"^{row}$", shown, re.MULTILINE), f"{row}\n{shown}"
    assert "lane 0" not in shown
    assert "\x1b" not in shown, "what a function says cannot paint the terminal"


def test_a_daemon_with_a_store_of_its_own_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with daemon(DAEMON) as address:
        assert status(Place(tmp_path, "memory://"), address, "-o", "json") == 0
        document = json.loads(capsys.readouterr().out)
        assert "nobody else can look into it" in document["store"]["problem"]
        assert [each["position"] for each in document["mappings"][0]["shards"]] == ["200"]


@pytest.mark.parametrize(
    ("document", "problem"), [(None, "/status answers 503"), ({"hello": "world"}, "what answers there is no poller")]
)
def test_what_is_no_running_poller_is_told(
    document: dict[str, object] | None, problem: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    with daemon(document) as address:
        assert status(place, address, "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["daemon"]["problem"] == problem


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("mappings", [[{}], [7], [{"name": "orders", "shards": [{}]}]], ids=str)
def test_a_daemon_that_says_it_in_another_way_is_as_good_as_none(
    mappings: list[object], output: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    with daemon({"version": "99.0", "mappings": mappings}) as address:
        assert status(place, address, "-o", output) == 0
    shown = capsys.readouterr().out
    assert f"what answers there is no poller {__version__}" in shown
    assert HOLDER in shown, "the store's word stands"


def test_a_defect_of_our_own_is_not_blamed_on_the_daemon(place: Place) -> None:
    with daemon({"version": __version__, "mappings": [{}]}) as address, pytest.raises(KeyError):
        status(place, address)


def test_a_daemon_with_another_store_is_told(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    ours = f"sqlite:///{place.folder}/poller.db"
    for url, told in ((ours, False), ("redis://elsewhere", True)):
        with daemon(DAEMON | {"store": url}) as address:
            assert status(place, address) == 0
        assert ("its store is redis://elsewhere, which is not this one" in capsys.readouterr().out) == told


def test_where_nobody_can_be_asked_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "-c", Place(tmp_path).config]) == 3
    shown = capsys.readouterr().out
    assert "there is no store yet at" in shown
    assert "none answers at" in shown
    assert re.search(r"orders +- +kinesis orders +f +- +-\n", shown), "nobody says that it has no shards"
    assert not (tmp_path / "poller.db").exists()
    assert main(["status", "-c", Place(tmp_path, "redis://:hunter2@127.0.0.1:1").config]) == 3
    assert "store   redis://***@127.0.0.1:1: stream: " in capsys.readouterr().out


def test_an_unknown_mapping_and_a_wrong_address_are_refused(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "order", "-c", place.config]) == 2
    assert "no mapping 'order' in the configuration, did you mean 'orders'?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["status", "-c", place.config, "--daemon", "somewhere"])
    assert "'somewhere' is not HOST:PORT" in capsys.readouterr().err


def test_any_address_of_a_listener_is_reached_by_loopback() -> None:
    listens = ["127.0.0.1:9108", "0.0.0.0:1", "[::]:2", "[fe80::1]:3", "10.0.0.7:4"]
    assert [reachable(listen) for listen in listens] == [
        *[("127.0.0.1", 9108), ("127.0.0.1", 1), ("::1", 2), ("fe80::1", 3), ("10.0.0.7", 4)]
    ]


def test_a_free_shard_beside_a_daemon_at_work_waits_for_its_parents(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoint", "set", "orders", THREE, "TRIM_HORIZON", "--new", "-c", place.config]) == 0
    capsys.readouterr()
    for document, state in ((DAEMON, "waiting"), (DAEMON | {"mappings": [MAPPING | {"waiting_for_parent": 0}]}, "free")):
        with daemon(document) as address:
            assert status(place, address, "orders", "-o", "json") == 0
        shards = json.loads(capsys.readouterr().out)["mappings"][0]["shards"]
        assert [each["state"] for each in shards] == ["finished", "blocked", state]


def test_of_many_shards_those_that_lag_most_are_shown() -> None:
    shards = [SHARD | {"shard": f"s{number:03}", "lanes": [], "iterator_age": float(number)} for number in range(60)]
    mapping = MAPPING | {"shards": shards, "enrolled": True, "last_error": None}
    document = {
        "store": {"url": "u", "problem": None},
        "daemon": DAEMON | {"address": "x", "problem": None},
        "mappings": [mapping],
    }
    shown = list(lines(document, whole=False, colours=True))
    assert sum("\x1b[33m" in line for line in shown) == 50
    assert not any("s009 " in line for line in shown)
    assert "  ... and 10 that lag less: --all shows them" in shown
    assert sum(" blocked " in line for line in lines(document, whole=True, colours=False)) == 60


# ---------------------------------------------------------------------------------------------------------------------- the page


class Text(HTMLParser):
    """The cells of a page, and the tags that it opens."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.rows: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append("")

    def handle_data(self, data: str) -> None:
        if self.rows and data.strip():
            self.rows[-1] += f"{data}|"


async def test_status_and_page_answer_before_there_is_anything_to_tell_and_after() -> None:
    starting, running = site(None), site(DAEMON)
    async with starting.server:
        response, text = await starting.get("/status")
        assert (response.status, text) == (503, "starting\n")
        assert "<p>starting</p>" in (await starting.get("/"))[1]
    async with running.server:
        response, text = await running.get("/status", Accept_Encoding="gzip")
        assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
        assert json.loads(text) == json.loads(json.dumps(DAEMON))
        assert (await running.get("/status", "POST"))[0].status == 405
        assert "orders" in (await running.get("/"))[1]


def test_the_page_shows_mappings_shards_and_lanes_and_nothing_that_a_function_says_is_markup() -> None:
    parsed = Text(page(DAEMON))
    assert not {"script", "img", "link", "b", "iframe"} & set(parsed.tags)
    for row in (
        "orders|Enabled|kinesis stream/orders|f|1 min 5 s|1 shards, 1 waiting, 1 finished|",
        "mails|Enabled|sqs mails|f|2 slots, 1,500 messages waiting, 3 in flight, circuit breaker open|",
        f"{TWO}|blocked|200|1 min 5 s|0 s|1,234|",
        "lane 1|running|1 s|4|",
    ):
        assert any(row in each for each in parsed.rows), f"{row}\n{parsed.rows}"
    assert not any("lane 0" in each for each in parsed.rows)


def test_a_stream_of_a_table_is_shown_by_its_name_though_its_arn_ends_with_a_time() -> None:
    arn = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000"
    document = DAEMON | {"mappings": [MAPPING | {"source": arn, "source_type": "dynamodb", "enrolled": True}]}
    assert any("|dynamodb table/orders/stream/2026-01-01T00:00:00.000|" in row for row in Text(page(document)).rows)
    whole = document | {"store": {"url": "u", "problem": None}, "daemon": DAEMON | {"address": "x", "problem": None}}
    assert any("  dynamodb orders  " in line for line in lines(whole, whole=False, colours=False))


def test_the_page_shows_the_hundred_shards_that_lag_most() -> None:
    shards = [SHARD | {"shard": f"s{number:03}", "lanes": [], "iterator_age": float(number)} for number in range(120)]
    text = page(DAEMON | {"mappings": [MAPPING | {"shards": shards}]})
    assert "and 20 more, which lag less" in text
    assert "s019" not in text
    assert "s020" in text
    assert THREE not in text
