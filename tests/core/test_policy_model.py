"""The policy against Lambda's rules written down a second time, as one plain procedure over lists of numbers.

The model knows nothing of attempts, decisions or unions: it walks through the rules with a clock, a list and a loop, and calls
itself for the halves of a split. Both play the same script of answers; every invocation, its time, its request id, every
settlement and every document must agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from support.build import ids, play, record

from poller.core.model import Accepted, Attempt, Failed, Outcome, Partial, Refused
from poller.core.policy import StreamPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator

WAITS = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
"""Then 60 seconds, for ever."""

Kind = Literal["ok", "raise", "partial", "refuse"]


@dataclass(frozen=True)
class Answer:
    """One line of the script. `failed` are places in the batch, modulo its size; `retry_after` is for refusals."""

    kind: Kind
    failed: tuple[int, ...] = (0,)
    retry_after: int | None = None


@dataclass(frozen=True)
class Settings:
    """What the mapping asks for, as Lambda spells it: -1 is none."""

    retries: int
    age: int
    bisect: bool


@dataclass
class Model:
    """Works off a batch by the rules, and writes down what it did."""

    settings: Settings
    arrivals: dict[int, int]
    script: Iterator[Answer]
    now: float
    names: Iterator[int] = field(default_factory=lambda: count(1))
    invocations: list[tuple[float, list[int], str]] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)
    documents: list[tuple[list[int], str, int]] = field(default_factory=list)

    def work_off(self, batch: list[int]) -> None:
        name, failed, refused = f"r{next(self.names)}", 0, 0
        while batch:
            old = self.expired(batch)
            if old:
                self.give_up(old, "RecordAgeExceeded", failed + 1)
                batch = batch[len(old) :]
                name = f"r{next(self.names)}" if batch else name
                continue
            self.invocations.append((self.now, batch, name))
            answer = next(self.script, Answer("ok"))
            first = min(place % len(batch) for place in answer.failed)
            if answer.kind == "ok":
                self.settled += batch
                return
            if answer.kind == "refuse":
                self.now += answer.retry_after or wait(refused)
                refused += 1
                continue
            if answer.kind == "partial" and first > 0:
                self.settled += batch[:first]
                batch, name, failed, refused = batch[first:], f"r{next(self.names)}", 0, 0
                self.now += wait(0)
                continue
            if self.settings.bisect and len(batch) > 1:
                middle = 1 if answer.kind == "partial" else len(batch) - len(batch) // 2
                self.work_off(batch[:middle])
                self.work_off(batch[middle:])
                return
            failed, refused = failed + 1, 0
            if failed == self.settings.retries + 1:
                self.give_up(batch, "RetryAttemptsExhausted", failed)
                return
            self.now += wait(failed - 1)

    def expired(self, batch: list[int]) -> list[int]:
        old = []
        for number in batch:
            if self.settings.age == -1 or self.now - self.arrivals[number] < self.settings.age:
                break
            old.append(number)
        return old

    def give_up(self, batch: list[int], condition: str, invocations: int) -> None:
        self.documents.append((batch, condition, invocations))
        self.settled += batch


def wait(before: int) -> float:
    return WAITS[before] if before < len(WAITS) else 60.0


def outcome(answer: Answer, of: Attempt) -> Outcome:
    names = ids(of.records)
    match answer.kind:
        case "ok":
            return Accepted()
        case "raise":
            return Failed("function_error")
        case "partial":
            return Partial(frozenset(names[place % len(names)] for place in answer.failed))
        case "refuse":
            return Refused("throttled", answer.retry_after)


answers = st.one_of(
    st.just(Answer("raise")),
    st.builds(Answer, st.just("partial"), st.lists(st.integers(0, 11), min_size=1, max_size=4).map(tuple)),
    st.just(Answer("refuse")),
    st.builds(Answer, st.just("refuse"), retry_after=st.integers(0, 40)),
    st.just(Answer("ok")),
    st.just(Answer("raise")),
)


@settings(max_examples=400)
@given(
    st.builds(Settings, retries=st.integers(-1, 4), age=st.just(-1) | st.integers(1, 120), bisect=st.booleans()),
    st.lists(st.integers(0, 100), min_size=1, max_size=9),
    st.lists(answers, max_size=25),
    st.integers(0, 150),
)
def test_the_policy_does_what_the_rules_say(asked: Settings, arrivals: list[int], script: list[Answer], now: int) -> None:
    model = Model(asked, dict(enumerate(arrivals, start=1)), iter(script), float(now))
    model.work_off(list(model.arrivals))

    policy = StreamPolicy(
        max_retries=None if asked.retries == -1 else asked.retries,
        max_age=None if asked.age == -1 else asked.age,
        bisect=asked.bisect,
    )
    batch = [record(number, arrived_at=arrived) for number, arrived in model.arrivals.items()]
    lines = iter(script)
    seen = play(policy, batch, lambda of: outcome(next(lines, Answer("ok")), of), now=now)

    assert [(each.at, [int(name) for name in each.ids], each.request_id) for each in seen.invoked] == model.invocations
    assert [int(name) for name in seen.settled] == model.settled
    documents = [([int(name) for name in ids(one.records)], one.reason, one.invoke_count) for one in seen.discards]
    assert documents == model.documents
    assert seen.now == model.now
