"""How functions behave: their moods come with the records, and by chance."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson

from poller.core.model import Errored, Refused, Returned, TooLarge

if TYPE_CHECKING:
    from random import Random

    from poller.core.model import Answer
    from support.sim.queue_scenario import Send
    from support.sim.scenario import FunctionPlan, How, Put
    from support.sim.weather import Weather

ERROR = b'{"errorType":"ValueError","errorMessage":"no"}'
ILL: dict[How, Answer] = {
    "raise": Errored("function_error", ERROR),
    "crash": Errored("crash", ERROR),
    "too_large": TooLarge(7_000_000),
    "null_id": Returned(b'{"batchItemFailures":[{"itemIdentifier":null}]}'),
    "wrong_key": Returned(b'{"batchItemFailures":[{"foo":123}]}'),
    "not_a_list": Returned(b'{"batchItemFailures":"all"}'),
}
WELL = (b"", b"null", b"{}", b"[]", b'""', b'{"batchItemFailures":[]}', b'{"batchItemFailures":null}', b'{"statusCode":200}')


def folded(state: dict[str, Any], ids: list[str]) -> dict[str, Any]:
    """A state that tells every record that ever went into it, and their order: how many, and a chain of hashes."""
    chain = sha256(" ".join([str(state.get("chain", "")), *ids]).encode()).hexdigest()[:12]
    return {"count": state.get("count", 0) + len(ids), "chain": chain}


class Moods:
    """How functions behave, in all processes: the records say it, chance adds to it until the calm."""

    def __init__(self, puts: tuple[Put | Send, ...], weather: Weather, chance: Random) -> None:
        self._puts = {put.number: put for put in puts}
        self._weather = weather
        self._chance = chance
        self._delivered: Counter[tuple[str, int]] = Counter()

    def answer(self, function: FunctionPlan, numbers: list[int], ids: list[str]) -> tuple[float, Answer]:
        """What the function says to these records, and after how many seconds."""
        chance, storm = self._chance, self._weather.storm
        if self._weather.outage("function") or (not self._weather.calm and chance.random() < storm.refusal):
            return chance.uniform(0.0, 0.1), self._refusal()
        puts = [self._puts[number] for number in numbers]
        seconds = min(function.usual * chance.random() + sum(put.slow for put in puts), 0.95 * function.timeout)
        failing = [index for index, put in enumerate(puts) if self._fails(function, put)]
        if not failing and not self._weather.calm and chance.random() < storm.failure:
            return seconds, Errored("function_error", ERROR)
        how = puts[failing[0]].how if failing else None
        if how == "timeout":
            return function.timeout, Errored("timeout", ERROR)
        return seconds, self._said(how, [ids[index] for index in failing], ids)

    def with_state(self, answer: Answer, state: dict[str, Any], ids: list[str]) -> Answer:
        """What a function of tumbling windows says: beside the answer the state, with what it has done; or not, by mistake."""
        if not isinstance(answer, Returned):
            return answer
        body = orjson.loads(answer.payload) if answer.payload else None
        told = body if isinstance(body, dict) else {}
        storm = self._weather.storm
        if not self._weather.calm and self._chance.random() < storm.failure:
            return Returned(orjson.dumps(told | {"state": self._chance.choice((None, 7, [state]))}))
        failures = told.get("batchItemFailures")
        named = [each.get("itemIdentifier") for each in failures] if isinstance(failures, list) else []
        done = ids[: min([ids.index(name) for name in named if name in ids], default=len(ids))]
        return Returned(orjson.dumps(told | {"state": folded(state, done)}))

    def _fails(self, function: FunctionPlan, put: Put | Send) -> bool:
        self._delivered[function.name, put.number] += 1
        return put.failures is None or self._delivered[function.name, put.number] <= put.failures

    def _refusal(self) -> Refused:
        wait = self._chance.choice((None, None, 0.0, 1.5))
        return Refused("throttled", wait) if self._chance.random() < 0.5 else Refused("unavailable", wait)

    def _said(self, how: How | None, failing: list[str], ids: list[str]) -> Answer:
        if how is None:
            return Returned(self._chance.choice(WELL))
        if how == "report":
            names = self._reported(failing, ids)
            return Returned(orjson.dumps({"batchItemFailures": [{"itemIdentifier": name} for name in names]}))
        if how == "unknown_id":
            failures = [{"itemIdentifier": failing[0]}, {"itemIdentifier": "4711"}]
            return Returned(orjson.dumps({"batchItemFailures": failures}))
        return ILL[how]

    def _reported(self, failing: list[str], ids: list[str]) -> list[str]:
        """All that fail, or the first alone as a stream needs no more; sometimes others that come after it; in any order."""
        chance = self._chance
        names = failing if chance.random() < 0.5 else failing[:1]
        if chance.random() < 0.3:
            names = [*names, *ids[ids.index(failing[0]) + 1 :][:2]]
        return chance.sample(names, len(names))
