"""What a mapping's observer, and the whole process, tell of how they stand: `/status` and the page."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from support.build import attempt
from support.doubles import ScriptedExecutor
from support.observing import FUNCTION_ERROR, ORDERS, FakeShard, HandClock, scrape
from support.stage import until, virtually
from support.virtual import VirtualClock

from poller.admin.health import Health
from poller.compose import Parts, World, permit_limits
from poller.config import Config
from poller.core.model import Accepted, Failed, Partial, Refused, Returned
from poller.drain import Drain
from poller.errors import SourceGone, Unavailable
from poller.fleet import Fleet
from poller.function import Permits
from poller.observe.mapping import MappingFacts
from poller.observe.metrics import Metrics
from poller.observe.shards import LaneStatus, ShardStatus
from poller.observe.standing import StandingObserver
from poller.overview import overview, put_in_words
from poller.ports import QueueDescription
from poller.readahead import MemoryBudget
from poller.sources.pace import ReadPace
from poller.stores.memory import MemoryContents, MemoryStore
from poller.wiring import Wiring

if TYPE_CHECKING:
    from poller.core.model import Outcome


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def observe(clock: HandClock) -> StandingObserver:
    return StandingObserver(Metrics(), ORDERS, clock)


def test_a_mapping_that_nothing_has_happened_to_stands_well(observe: StandingObserver) -> None:
    observe.state("Enabled")
    standing = observe.standing()
    assert (standing.state, standing.last_error, standing.last_success) == ("Enabled", None, None)
    assert (list(standing.shards), standing.queue) == ([], None)


def test_the_same_trouble_again_is_one_trouble_that_lasts(observe: StandingObserver, clock: HandClock) -> None:
    for text in ("first", "second of redis://me:hunter2@host", "third\nline"):
        observe.poll_failed(Unavailable("GetRecords", "timeout", text), seconds=1.0)
        clock.now += 10
    last = observe.standing().last_error
    assert last is not None
    assert (last.what, last.kind, last.text, last.times) == ("poll", "timeout", "GetRecords: third line", 3)
    assert (last.first, last.last) == (clock.now - 30, clock.now - 10)


def test_passwords_and_endless_texts_stay_out(observe: StandingObserver) -> None:
    observe.failing("store", Unavailable("advance", "auth", "redis://me:hunter2@host " + "x" * 10_000))
    last = observe.standing().last_error
    assert last is not None
    assert "hunter2" not in last.text
    assert len(last.text) <= 300


@pytest.mark.parametrize(
    ("outcome", "kind", "text"),
    [
        (Failed("timeout", "Task timed out after 3.00 seconds"), "timeout", "Task timed out after 3.00 seconds"),
        (Partial(frozenset({"1"})), "batch_item", "1 of 2 records reported"),
        (Refused("throttled", detail="no worker"), "throttled", "no worker"),
    ],
)
def test_a_failure_of_the_function_is_remembered(outcome: Outcome, kind: str, text: str, observe: StandingObserver) -> None:
    observe.answered(attempt(1, 2), "shard", FUNCTION_ERROR, outcome, 1.0)
    last = observe.standing().last_error
    assert last is not None
    assert (last.what, last.kind, last.text) == ("function", kind, text)


def test_other_parts_name_themselves(observe: StandingObserver) -> None:
    said = []
    observe.undeliverable(Unavailable("SendMessage", "connection", "refused"))
    said.append(observe.standing().last_error)
    observe.failing("shard-1", SourceGone("there is no stream orders"))
    said.append(observe.standing().last_error)
    observe.crashed("shard-2", ValueError("a bug"))
    said.append(observe.standing().last_error)
    assert [(each.what, each.kind, each.text) for each in said if each is not None] == [
        ("destination", "connection", "SendMessage: refused"),
        ("shard-1", "SourceGone", "there is no stream orders"),
        ("shard-2", "crash", "ValueError: a bug"),
    ]


def test_a_success_is_remembered_and_forgives_nothing(observe: StandingObserver, clock: HandClock) -> None:
    observe.failing("store", Unavailable("advance", "timeout"))
    observe.answered(attempt(1), "shard", Returned(b"null"), Accepted(), 1.0)
    standing = observe.standing()
    assert standing.last_success == clock.now
    assert standing.last_error is not None


def test_shards_that_wait_or_are_finished_are_counted_and_those_at_work_asked(observe: StandingObserver) -> None:
    observe.shards_waiting(2, 3)
    observe.shard_opened("shard", FakeShard(iterator_age=7.0))
    standing = observe.standing()
    assert (standing.waiting_for_parent, standing.finished) == (2, 3)
    assert [each.iterator_age for each in standing.shards] == [7.0]


async def test_many_shards_with_many_lanes_are_asked_in_turns_with_whatever_else_runs(observe: StandingObserver) -> None:
    lane = LaneStatus(
        index=0, state="idle", queued=0, taken=0, oldest_age=None, retries=0, refusals=0, failing_for=None, error=None
    )
    asked: list[int] = []

    class Wide(FakeShard):
        def status(self) -> ShardStatus:
            asked.append(0)
            return replace(super().status(), lanes=(lane,) * 100)

    for number in range(40):
        observe.shard_opened(f"shard-{number}", Wide())
    telling = asyncio.create_task(put_in_words(observe.standing(), 0.0))
    at_once = []
    while not telling.done():
        before = len(asked)
        await asyncio.sleep(0)
        at_once.append(len(asked) - before)
    assert len(asked) == 40
    assert max(at_once) == 2


def test_a_queue_stands_by_its_slots_and_what_it_said_last(clock: HandClock) -> None:
    metrics = Metrics()
    observe = StandingObserver(metrics, MappingFacts(name="q", source_type="sqs", source="q", function="f", unit="slot"), clock)
    empty = observe.standing().queue
    assert empty is not None
    assert (empty.slots, empty.visible) == (0, None)
    observe.pollers(3)
    observe.queue(QueueDescription(visibility_timeout=30, retention=60, visible=7, in_flight=2, delayed=1))
    observe.breaker("open")
    queue = observe.standing().queue
    assert queue is not None
    assert (queue.slots, queue.visible, queue.in_flight, queue.delayed, queue.breaker) == (3, 7, 2, 1, "open")
    assert scrape(metrics).value("poller_queue_messages", mapping="q", state="visible") == 7


# ------------------------------------------------------------------------------------------------------------------- the process

STREAM = {"event_source_arn": "arn:aws:kinesis:us-east-1:000000000000:stream/orders", "starting_position": "LATEST"}
QUEUE = {"event_source_arn": "arn:aws:sqs:us-east-1:000000000000:mails", "enabled": False}
FUNCTION = {"executor": "process", "runtime": "python", "handler": "app.handler", "maximum_concurrency": 5}


def fleet() -> Fleet:
    config = Config.model_validate(
        {
            "functions": {"f": FUNCTION},
            "store": {"url": "redis://:hunter2@cache"},
            "event_source_mappings": [
                {"name": "orders", "function_name": "f", **STREAM},
                {"name": "mails", "function_name": "f", **QUEUE},
            ],
        }
    )

    async def nobody(_: object) -> Any:
        raise Unavailable("GetCallerIdentity", "auth", "the token has expired")

    clock = VirtualClock()
    store = MemoryStore(MemoryContents(), clock)
    apis = dict.fromkeys(("kinesis", "dynamodb", "sqs", "sns", "s3"), nobody)
    wiring = Wiring(**apis, store=lambda _: store, executor=lambda _: ScriptedExecutor())
    world = World(clock=clock, rng=Random(1), wiring=wiring, owner="me:1:aa")
    permits, budget = Permits(*permit_limits(config)), MemoryBudget(1)
    return Fleet(
        Parts(
            config=config,
            world=world,
            metrics=Metrics(),
            store=store,
            permits=permits,
            budget=budget,
            pace=ReadPace(clock),
        )
    )


@virtually
async def test_a_mapping_that_cannot_be_made_tells_why_and_a_disabled_one_that_it_is() -> None:
    health, drain = Health(VirtualClock()), Drain()
    async with fleet() as running, asyncio.TaskGroup() as group:
        group.create_task(running.run(drain, health))
        await until(lambda: running.trouble("orders"))
        told = await overview(running, health)
        drain.start()
    orders, mails = json.loads(json.dumps(told))["mappings"]
    assert (orders["state"], mails["state"], mails["last_error"]) == ("Creating", "Disabled", None)
    assert (orders["last_error"]["what"], orders["last_error"]["kind"]) == ("mapping", "auth")
    assert orders["last_error"]["text"] == "GetCallerIdentity: the token has expired"
    assert told["functions"] == {"f": {"in_flight": 0, "limit": 5}}
    assert told["owner"] == "me:1:aa"
    assert "hunter2" not in json.dumps(told)
