"""The one object through which a mapping, its shards and its lanes tell what happens: it counts and it logs.

No method awaits, raises, or decides anything. Every series of a mapping exists at 0 from the moment its observer is made, and
goes with `close`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from poller.core.model import Accepted, Errored, Partial, Returned
from poller.errors import Unavailable
from poller.observe import catalogue as c
from poller.observe.logs import logger
from poller.observe.metrics import Series
from poller.observe.outcomes import (
    DROP_REASON,
    age_fields,
    attempt_fields,
    blocked_fields,
    discard_fields,
    failed_events,
    oldest_arrival,
    outcome_fields,
    outcome_label,
    report_fields,
)
from poller.observe.queues import QueueEvents
from poller.observe.ratelimit import RateLimit
from poller.observe.shards import ShardGauges, ShardProbe
from poller.observe.sightings import Sightings
from poller.observe.windows import WindowEvents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import Counter

    from poller.core.model import Answer, Attempt, Decision, Discard, Outcome, Record
    from poller.core.report import Shortened
    from poller.errors import PollerError
    from poller.observe.definition import Definition
    from poller.observe.metrics import Metrics
    from poller.ports import Clock

__all__ = ["LeaseTransition", "MappingFacts", "MappingObserver", "ShardProbe"]

LeaseTransition = Literal["acquired", "released", "lost", "stolen", "expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingFacts:
    """What labels and logs say of a mapping.

    Attributes:
        name: unique in the daemon.
        source_type: `kinesis`, ...
        source: name of the stream or queue; never an ARN or URL, it becomes a label.
        function: name of the function.
        destination: kind of the failure destination (`Destination.kind`); None where none is configured.
        unit: what its lanes belong to, and log lines call it: `shard`, or `slot` of a queue.
        memory_size: MB that a worker of the function may use; None where that is not known here.
    """

    name: str
    source_type: str
    source: str
    function: str
    destination: str | None = None
    unit: Literal["shard", "slot"] = "shard"
    memory_size: int | None = None


class MappingObserver(QueueEvents, WindowEvents):
    """Counts and logs for one mapping. Close it before another of the same name is made."""

    def __init__(self, metrics: Metrics, facts: MappingFacts, clock: Clock) -> None:
        self._metrics = metrics
        self._facts = facts
        self._clock = clock
        self._name = facts.name
        self._log = logger(mapping=facts.name)
        self._limit = RateLimit(clock)
        self._leases: set[str] = set()
        self._state = ""
        self._series = Series(metrics, "mapping", _known(facts))
        self._series.get(c.MAPPING_INFO, facts.name, facts.source_type, facts.source, facts.function).set(1)
        self._sightings = Sightings() if facts.unit == "slot" else None
        self._shards = ShardGauges(self._series, facts.name, self._log)
        self._bind_reads()
        self._bind_batches()
        metrics.on_scrape(self._read)

    def close(self) -> None:
        """The mapping is gone: so are its series."""
        self._metrics.forget(self._read)
        self._series.close()

    # ---------------------------------------------------------------------------------------------------------- reading

    def polled(self, records: Sequence[Record], *, size: int, seconds: float) -> None:
        """A read succeeded: these records, `size` bytes of data, after so long."""
        self._polls["records" if records else "empty"].inc()
        self._poll_duration.observe(seconds)
        self._last_poll.set(self._clock.time())
        if records:
            self._polled_bytes.inc(size)
            self._events_polled.inc(len(records))
            self.redelivered(sum(record.receives > 1 for record in records))

    def poll_failed(self, error: Unavailable, *, seconds: float) -> None:
        """A read failed, after so long. Logged at most every 30 s for each kind of error."""
        self._polls["error"].inc()
        self._poll_duration.observe(seconds)
        self._series.get(c.SOURCE_API_ERRORS, self._facts.name, error.operation, error.kind).inc()
        if (extra := self._limit.admit(f"poll {error.kind}")) is not None:
            self._log.warning("poll_failed", operation=error.operation, kind=error.kind, error=str(error), **extra)

    def failing(self, what: str, error: PollerError) -> None:
        """The world outside keeps a part of the mapping from working; it is tried again. Logged as `poll_failed` is."""
        kind = type(error).__name__
        if isinstance(error, Unavailable):
            kind = error.kind
            if error.operation in c.SOURCE_OPERATIONS.get(self._facts.source_type, ()):
                self._series.get(c.SOURCE_API_ERRORS, self._facts.name, error.operation, error.kind).inc()
        if (extra := self._limit.admit(f"failing {kind}")) is not None:
            self._log.warning("failing", what=what, kind=kind, error=str(error), **extra)

    def filtered(self, count: int) -> None:
        """The filter removed so many records."""
        self._events_filtered.inc(count)

    def would_filter(self, record: Record) -> Literal[True]:
        """A dry run of the filter: this record would be kept out, and is not. Some of them are named in the log."""
        self._series.get(c.FILTER_DRY_RUN, self._facts.name).inc()
        if (extra := self._limit.admit("filter dry run")) is not None:
            self._log.info("filter_dry_run", record=record.id, **extra)
        return True

    def filter_names_unknown(self, names: Sequence[str]) -> None:
        """The filter asks for names that no record of the source has: most likely a mistake, which drops everything."""
        self._log.warning("filter_names_unknown", names=list(names))

    def returned(self, count: int) -> None:
        """So many records are handed back undone, at a drain or with a lost lease."""
        self._events_returned.inc(count)

    def redelivered(self, count: int) -> None:
        """So many records had been handed out before."""
        self._events_redelivered.inc(count)

    # ---------------------------------------------------------------------------------------------------------- batches

    def invoking(self, attempt: Attempt, shard: str, now: float) -> None:
        """An attempt goes to the function; `now` is in Unix seconds. `answered` or `cancelled` follows."""
        size = len(attempt.records)
        self._events_invoked.inc(size)
        self._in_flight_events.inc(size)
        if size:  # the invocation that closes a window is no batch
            self._batch_size.observe(size)
            self._event_age.observe(max(0.0, now - oldest_arrival(attempt.records)))
        self._log.debug("invoking", **self._at(shard), records=size, attempt=attempt.retries + 1, request_id=attempt.request_id)

    def answered(self, attempt: Attempt, shard: str, answer: Answer, outcome: Outcome, seconds: float) -> None:
        """The function answered, `seconds` after it was invoked. Writes the one log line of a batch."""
        self._in_flight_events.dec(len(attempt.records))
        self._invocations[outcome_label(outcome)].inc()
        if isinstance(answer, Returned | Errored):  # the rest never ran
            exemplar = {"request_id": attempt.request_id} if attempt.request_id else None
            self._duration.observe(seconds, exemplar)
        if isinstance(outcome, Accepted | Partial):
            self._last_success.set(self._clock.time())
        if (failed := failed_events(attempt, outcome)) is not None:
            reason, count = failed
            self._events_failed[reason].inc(count)
        self._log_batch(attempt, shard, outcome, seconds, answer)
        if isinstance(answer, Returned | Errored):
            self._remember(attempt, outcome)

    def cancelled(self, attempt: Attempt) -> None:
        """The invocation was cut off before its answer."""
        self._in_flight_events.dec(len(attempt.records))
        self._invocations["cancelled"].inc()

    def decided(self, decision: Decision) -> None:
        """A decision is carried out: counts what it retries and splits, and how often what nobody gets again was seen."""
        self._retries.inc(sum(again.retries > 0 and again.refusals == 0 for again in decision.again))
        if len(decision.again) > 1:
            self._bisections.inc()
        self._tell_last_sightings(decision)

    # --------------------------------------------------------------------------------------------------------- giving up

    def delivered(self, discard: Discard, shard: str | None = None, shortened: Shortened | None = None) -> None:
        """The failure destination took what was given up; `shortened`: without the payload, which was too large for it."""
        kind = self._facts.destination or "none"
        self._series.get(c.EVENTS_SENT_TO_DESTINATION, self._facts.name, kind).inc(len(discard.records))
        extra = {}
        if shortened is not None:
            self._series.get(c.DESTINATION_PAYLOADS_OMITTED, self._facts.name, kind).inc()
            extra["payload_omitted"] = shortened.size
        self._log.warning(
            "discarded", **self._at(shard), destination=kind, **discard_fields(discard), **extra, **self._seen(discard.records)
        )

    def undeliverable(self, error: PollerError) -> None:
        """The failure destination did not take it; unless `dropped` follows, the records are kept. Logged as `poll_failed` is."""
        destination = self._facts.destination or "none"
        self._series.get(c.DESTINATION_ERRORS, self._facts.name, destination).inc()
        kind = error.kind if isinstance(error, Unavailable) else type(error).__name__
        if (extra := self._limit.admit(f"destination {kind}")) is not None:
            self._log.error("undeliverable", destination=destination, kind=kind, error=str(error), **extra)

    def dropped(self, discard: Discard, shard: str | None = None, error: BaseException | None = None) -> None:
        """Given up for good: no destination is configured, or it has failed (`error`). The log line is all that is left."""
        self._series.get(c.EVENTS_DROPPED, self._facts.name, DROP_REASON[discard.reason]).inc(len(discard.records))
        log, why = (self._log.warning, {}) if error is None else (self._log.error, {"error": str(error)})
        log("dropped", **self._at(shard), **discard_fields(discard), **why, **self._seen(discard.records))

    def blocked(self, attempt: Attempt, shard: str, outcome: Outcome) -> None:
        """An attempt has no retries left, and is to wait for an operator. Said once; its further tries are told as batches."""
        self._log.error("blocked", **self._at(shard), **blocked_fields(attempt, outcome))

    # ----------------------------------------------------------------------------------------- shards, leases, checkpoints

    def checkpoint(self, outcome: Literal["ok", "error", "fenced"]) -> None:
        """A checkpoint was written, or not."""
        self._series.get(c.CHECKPOINTS, self._facts.name, outcome).inc()

    def lease(self, transition: LeaseTransition, shard: str) -> None:
        """A lease came or went.

        `lost`: the store refused us or knows it no more. `stolen`: another took it while it was still ours. `expired`: we could
        not renew it in time.
        """
        (self._leases.add if transition == "acquired" else self._leases.discard)(shard)
        self._series.get(c.LEASES_OWNED, self._facts.name).set(len(self._leases))
        self._series.get(c.LEASE_TRANSITIONS, self._facts.name, transition).inc()
        log = self._log.info if transition in ("acquired", "released") else self._log.warning
        log("lease", shard=shard, transition=transition)

    def trimmed(self, shard: str) -> None:
        """The source has expired records of this shard that nobody had read."""
        self._series.get(c.CHECKPOINT_TRIMMED, self._facts.name).inc()
        self._log.error("checkpoint_trimmed", shard=shard)

    def shard_opened(self, shard: str, probe: ShardProbe) -> None:
        """A shard is at work here: it is asked at each scrape, until `shard_closed`."""
        self._shards.opened(shard, probe)

    def shard_closed(self, shard: str) -> None:
        """It is no longer; its series go, so that nobody is paged for a shard that another replica reads."""
        self._shards.closed(shard)

    def shards_waiting(self, waiting_for_parent: int, finished: int) -> None:
        """How many of the stream's shards are not at work, and why."""
        self._series.get(c.SHARDS, self._facts.name, "waiting_for_parent").set(waiting_for_parent)
        self._series.get(c.SHARDS, self._facts.name, "finished").set(finished)

    def undeleted(self, error: PollerError) -> None:
        """A delete failed as a whole; it is tried again. Logged as `failing` is."""
        self.failing("delete", error)

    # ---------------------------------------------------------------------------------------------------------- the whole

    def retention(self, seconds: float) -> None:
        """How long the source keeps a record."""
        self._series.get(c.SOURCE_RETENTION, self._facts.name).set(seconds)

    def crashed(self, what: str, error: BaseException) -> None:
        """A part of the mapping crashed and is started again: a bug, or something that no adapter translated."""
        self._series.get(c.SUPERVISED_RESTARTS, self._facts.name).inc()
        self._log.error("crashed", what=what, error=f"{type(error).__name__}: {error}", exc_info=error)

    def state(self, state: str) -> None:
        """The mapping's state, one of Lambda's; logged where it changed."""
        if state == self._state:
            return
        if self._state:
            self._series.get(c.MAPPING_STATE, self._facts.name, self._state).set(0)
        self._series.get(c.MAPPING_STATE, self._facts.name, state).set(1)
        self._log.info("state", state=state, previous=self._state or None)
        self._state = state

    # ------------------------------------------------------------------------------------------------------------- inside

    def _log_batch(self, attempt: Attempt, shard: str, outcome: Outcome, seconds: float, answer: Answer) -> None:
        fields = outcome_fields(attempt, outcome)
        log = self._log.info if fields["outcome"] == "success" else self._log.warning
        log(
            "batch",
            **self._at(shard),
            records=len(attempt.records),
            attempt=attempt.retries + 1,
            **fields,
            duration_ms=round(seconds * 1000, 1),
            **report_fields(answer, self._facts.memory_size),
            **age_fields(attempt.records, self._clock.time() - seconds),
            request_id=attempt.request_id,
            **attempt_fields(attempt),
            **self._seen(attempt.records, ran=isinstance(answer, Returned | Errored)),
        )

    def _read(self) -> None:
        """Before each scrape."""
        if self._facts.unit == "shard":
            self._shards.read()
        else:
            self._read_hands()

    def _at(self, place: str | None) -> dict[str, object]:
        """Where it happened, for a log line."""
        return {self._facts.unit: place}

    def _bind_reads(self) -> None:
        get, name = self._series.get, self._facts.name
        self._events_polled = get(c.EVENTS_POLLED, name)
        self._events_filtered = get(c.EVENTS_FILTERED, name)
        self._events_returned = get(c.EVENTS_RETURNED, name)
        self._events_redelivered = get(c.EVENTS_REDELIVERED, name)
        self._polled_bytes = get(c.POLLED_BYTES, name)
        self._poll_duration = get(c.POLL_DURATION, name)
        self._last_poll = get(c.LAST_POLL, name)
        self._polls = self._by_label(c.POLLS, c.POLL_OUTCOMES)

    def _bind_batches(self) -> None:
        get, name = self._series.get, self._facts.name
        self._events_invoked = get(c.EVENTS_INVOKED, name)
        self._in_flight_events = get(c.IN_FLIGHT_EVENTS, name)
        self._batch_size = get(c.BATCH_SIZE, name)
        self._event_age = get(c.EVENT_AGE, name)
        self._duration = get(c.INVOCATION_DURATION, name)
        self._retries = get(c.BATCH_RETRIES, name)
        self._bisections = get(c.BATCH_BISECTIONS, name)
        self._last_success = get(c.LAST_SUCCESS, name)
        self._invocations = self._by_label(c.INVOCATIONS, c.INVOCATION_OUTCOMES)
        self._events_failed = self._by_label(c.EVENTS_FAILED, c.FAILURE_REASONS)

    def _by_label(self, definition: Definition[Counter], values: Sequence[str]) -> dict[str, Counter]:
        return {value: self._series.get(definition, self._facts.name, value) for value in values}


def _known(facts: MappingFacts) -> dict[str, Sequence[str]]:
    """The values of open labels that this mapping will use."""
    return {
        "mapping": (facts.name,),
        "operation": c.SOURCE_OPERATIONS.get(facts.source_type, ()),
        "destination": () if facts.destination is None else (facts.destination,),
    }
