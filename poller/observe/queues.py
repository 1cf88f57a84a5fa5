"""What a mapping of a queue tells beside what all mappings do; a part of its observer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from poller.observe import catalogue as c
from poller.observe.outcomes import not_done

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.core.breaker import BreakerState
    from poller.core.model import Attempt, Decision, Outcome, Record
    from poller.observe.logs import Logger
    from poller.observe.metrics import Series
    from poller.observe.ratelimit import RateLimit
    from poller.observe.sightings import Sightings
    from poller.ports import QueueDescription


class InHand(Protocol):
    """What the slots of a queue hold. Read at each scrape, on the loop: never raises."""

    @property
    def bytes(self) -> int:
        """Payload bytes received and not yet deleted or given back."""


class QueueEvents:
    """Counts and logs deletes, the heartbeat, slots, the circuit breaker, and how often the function saw a message."""

    _name: str
    _log: Logger
    _limit: RateLimit
    _series: Series
    _in_hand: InHand | None = None
    _breaker: BreakerState | None = None
    _redriven_after: int | None = None
    _sightings: Sightings | None = None

    def deleted(self, count: int) -> None:
        """The queue has confirmed that so many messages are deleted."""
        self._series.get(c.EVENTS_DELETED, self._name).inc(count)

    def visibility(self, outcome: Literal["ok", "error", "lost"], count: int) -> None:
        """The heartbeat of so many messages came in, failed, or came too late: those are likely to be delivered again."""
        self._series.get(c.VISIBILITY_EXTENSIONS, self._name, outcome).inc(count)
        if outcome != "ok" and (extra := self._limit.admit(f"visibility {outcome}")) is not None:
            self._log.warning("visibility", outcome=outcome, messages=count, **extra)

    def queue(self, now: QueueDescription) -> None:
        """What the queue says of itself."""
        self._redriven_after = now.maximum_receive_count
        for state, count in (("visible", now.visible), ("in_flight", now.in_flight), ("delayed", now.delayed)):
            self._series.get(c.QUEUE_MESSAGES, self._name, state).set(count)
        self._series.get(c.SOURCE_RETENTION, self._name).set(now.retention)

    def breaker(self, now: BreakerState) -> None:
        """The state of the circuit breaker; logged where it is news."""
        for state in c.BREAKER_STATES:
            self._series.get(c.CIRCUIT_BREAKER, self._name, state).set(state == now)
        if self._breaker not in {None, now}:
            log = self._log.warning if now == "open" else self._log.info
            log("circuit_breaker", state=now, previous=self._breaker)
        self._breaker = now

    def pollers(self, count: int, in_hand: InHand | None = None) -> None:
        """So many slots poll the queue; what they have in hand is asked at each scrape."""
        self._in_hand = in_hand
        self._series.get(c.POLLERS, self._name).set(count)

    def _seen(self, records: Sequence[Record], *, ran: bool = False) -> dict[str, object]:
        """How often the function has seen a message, for a log line; of records of streams nothing is to be told."""
        return {} if self._sightings is None else self._sightings.fields(records, ran=ran)

    def _remember(self, attempt: Attempt, outcome: Outcome) -> None:
        """The function has seen these: what is not done may come again."""
        if self._sightings is None:
            return
        left = not_done(attempt, outcome)
        if len(left) < len(attempt.records):
            names = {record.id for record in left}
            self._sightings.forget([record for record in attempt.records if record.id not in names])
        self._sightings.ran(left)

    def _tell_last_sightings(self, decision: Decision) -> None:
        """Of messages that are given up, by us or, with their last receive spent, by the queue's own redrive policy."""
        if self._sightings is None or not (decision.discard or decision.release):
            return
        most = float("inf") if self._redriven_after is None else self._redriven_after
        spent = [record for release in decision.release for record in release.records if record.receives >= most]
        for record in (*spent, *(record for discard in decision.discard for record in discard.records)):
            self._series.get(c.LAST_SIGHTINGS, self._name).observe(self._sightings.of(record))

    def _read_hands(self) -> None:
        """Before each scrape."""
        self._series.get(c.BUFFERED_BYTES, self._name).set(0 if self._in_hand is None else self._in_hand.bytes)
