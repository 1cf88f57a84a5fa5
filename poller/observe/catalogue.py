"""Every metric of the poller: name, type, labels with their closed sets of values, and what it means.

`docs/metrics.md` is made from this file. A label never holds an ARN, a URL, a message id, a partition key or the text of an
exception. A metric, or a value of a label, that nobody sets yet is not declared.
"""

from __future__ import annotations

from typing import get_args

from poller.errors import ApiErrorKind
from poller.observe import catalogue_functions
from poller.observe.catalogue_functions import FUNCTION
from poller.observe.definition import AnyDefinition, Definition, Label, counter, gauge, histogram

FAILURE_REASONS = ("function_error", "timeout", "throttled", "invoke_error", "batch_item", "crash", "oom")
DROP_REASONS = ("max_age", "max_retries", "filtered")
INVOCATION_OUTCOMES = (
    "success",
    "partial",
    "function_error",
    "timeout",
    "throttled",
    "invoke_error",
    "crash",
    "oom",
    "cancelled",
)
POLL_OUTCOMES = ("records", "empty", "error")
API_ERROR_KINDS: tuple[str, ...] = get_args(ApiErrorKind)
SHARD_STATES = ("open", "blocked", "waiting_for_parent", "finished")
LEASE_CHANGES = ("acquired", "released", "lost", "stolen", "expired")
CHECKPOINT_OUTCOMES = ("ok", "error", "fenced")
MAPPING_STATES = ("Creating", "Enabling", "Enabled", "Disabling", "Disabled", "Updating", "Deleting")
WINDOW_ENDS = ("later_record", "time", "shard_end", "state_size", "given_up", "dropped")
EXTENSION_OUTCOMES = ("ok", "error", "lost")
BREAKER_STATES = ("closed", "open", "half_open")
MESSAGE_STATES = ("visible", "in_flight", "delayed")
STORE_OPERATIONS = ("stream", "enroll", "shards", "acquire", "renew", "release", "load", "advance", "finish")
SOURCE_OPERATIONS: dict[str, tuple[str, ...]] = {
    "kinesis": ("DescribeStreamSummary", "ListShards", "GetShardIterator", "GetRecords"),
    "dynamodb": ("DescribeStream", "GetShardIterator", "GetRecords"),
    "sqs": ("GetQueueUrl", "GetQueueAttributes", "ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"),
}
"""The calls that a mapping makes, by the type of its source."""

MAPPING = Label(name="mapping")
SHARD = Label(name="shard")
DESTINATION = Label(name="destination")

# --------------------------------------------------------------------------------------------------------------------- events

EVENTS_POLLED = counter("poller_events_polled_total", "Events read from the source.", MAPPING, cloudwatch="PolledEventCount")
EVENTS_FILTERED = counter(
    "poller_events_filtered_total",
    "Events that the filter criteria removed.",
    MAPPING,
    cloudwatch="FilteredOutEventCount",
)
FILTER_DRY_RUN = counter(
    "poller_filter_dry_run_events_total",
    "Events that the filter criteria would have removed, were they not on trial (dry_run).",
    MAPPING,
)
EVENTS_INVOKED = counter(
    "poller_events_invoked_total",
    "Events sent to the function; each retry counts them again.",
    MAPPING,
    cloudwatch="InvokedEventCount",
)
EVENTS_FAILED = counter(
    "poller_events_failed_total",
    "Events whose invocation failed; of a partial answer only the reported ones (batch_item).",
    MAPPING,
    Label(name="reason", values=FAILURE_REASONS),
    cloudwatch="FailedInvokeEventCount",
)
EVENTS_DROPPED = counter(
    "poller_events_dropped_total",
    "Events given up that no destination took: none is configured, or on_destination_error is drop and it failed. Excludes what"
    " the source itself expired.",
    MAPPING,
    Label(name="reason", values=DROP_REASONS),
    cloudwatch="DroppedEventCount",
)
EVENTS_DELETED = counter(
    "poller_events_deleted_total",
    "Messages deleted from the queue: done, filtered out, or given up. Confirmed by the queue.",
    MAPPING,
    cloudwatch="DeletedEventCount",
)
EVENTS_SENT_TO_DESTINATION = counter(
    "poller_events_sent_to_destination_total",
    "Events given up that the failure destination took.",
    MAPPING,
    DESTINATION,
    cloudwatch="OnFailureDestinationDeliveredEventCount",
)
DESTINATION_ERRORS = counter(
    "poller_destination_errors_total",
    "Attempts to reach the failure destination that failed; the events are kept and tried again, unless on_destination_error is"
    " drop.",
    MAPPING,
    DESTINATION,
    cloudwatch="DestinationDeliveryFailures",
)
DESTINATION_PAYLOADS_OMITTED = counter(
    "poller_destination_payloads_omitted_total",
    "Reports that the failure destination took only without the payload, which was larger than it takes (include_payload).",
    MAPPING,
    DESTINATION,
)
EVENTS_REDELIVERED = counter(
    "poller_events_redelivered_total",
    "Events handed out before: receive count above 1, or a position seen before.",
    MAPPING,
)
EVENTS_RETURNED = counter(
    "poller_events_returned_total", "Events handed back undone, at a drain or when a lease was lost.", MAPPING
)

# ---------------------------------------------------------------------------------------------------------------- invocations

INVOCATIONS = counter(
    "poller_invocations_total",
    "Invocations that ended. `partial`: the answer reported failed items. Refused ones are `throttled` or `invoke_error`.",
    MAPPING,
    Label(name="outcome", values=INVOCATION_OUTCOMES),
    cloudwatch="Invocations, Errors, Throttles (sums of these)",
)
INVOCATION_DURATION = histogram(
    "poller_invocation_duration_seconds",
    "Time from handing an event to the executor until its answer, a cold start included. Only of functions that ran.",
    MAPPING,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900),
)
EVENT_AGE = histogram(
    "poller_event_age_seconds",
    "Age of a batch's oldest event at its invocation, once per invocation. (Lambda's IteratorAge takes the last event.)",
    MAPPING,
    buckets=(0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 10800, 21600, 43200, 86400),
)
BATCH_SIZE = histogram(
    "poller_batch_size_events",
    "Events per invocation.",
    MAPPING,
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000),
)
BATCH_RETRIES = counter("poller_batch_retries_total", "Failed batches that are invoked again unchanged.", MAPPING)
BATCH_BISECTIONS = counter("poller_batch_bisections_total", "Failed batches that were split in two.", MAPPING)
WINDOWS_CLOSED = counter(
    "poller_windows_closed_total",
    "Tumbling windows that are over. Of those given_up or dropped the function has not seen the end.",
    MAPPING,
    Label(name="reason", values=WINDOW_ENDS),
)
IN_FLIGHT_EVENTS = gauge("poller_in_flight_events", "Events inside a running invocation.", MAPPING)
LAST_SUCCESS = gauge(
    "poller_last_success_timestamp_seconds",
    "When an invocation last succeeded, wholly or in part, as Unix time; 0: not yet.",
    MAPPING,
)

# -------------------------------------------------------------------------------------------------------------------- reading

POLLS = counter("poller_polls_total", "Reads of the source.", MAPPING, Label(name="outcome", values=POLL_OUTCOMES))
POLL_DURATION = histogram(
    "poller_poll_duration_seconds",
    "Time of one read, failed ones included.",
    MAPPING,
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    cloudwatch="GetRecords.Latency",
)
POLLED_BYTES = counter("poller_polled_bytes_total", "Bytes of event data read.", MAPPING, cloudwatch="GetRecords.Bytes")
SOURCE_API_ERRORS = counter(
    "poller_source_api_errors_total",
    "Calls of the source's API that failed.",
    MAPPING,
    Label(name="operation"),
    Label(name="error", values=API_ERROR_KINDS),
    cloudwatch="PollingErrorCount",
)
LAST_POLL = gauge("poller_last_poll_timestamp_seconds", "When a read last succeeded, as Unix time; 0: not yet.", MAPPING)
POLLERS = gauge("poller_pollers", "Readers at work in this process.", MAPPING, cloudwatch="ProvisionedPollers")
ITERATOR_AGE = gauge(
    "poller_iterator_age_seconds",
    "Age of the oldest event not yet settled, computed at each scrape; rises while reads fail, 0 when caught up.",
    MAPPING,
    SHARD,
    cloudwatch="IteratorAge",
)
SOURCE_BEHIND = gauge(
    "poller_source_behind_seconds",
    "How far the last read was from the tip of the shard, by the source's word.",
    MAPPING,
    SHARD,
    cloudwatch="GetRecords.IteratorAgeMilliseconds (MillisBehindLatest)",
)
SOURCE_RETENTION = gauge("poller_source_retention_seconds", "How long the source keeps an event.", MAPPING, from_start=False)
BUFFERED_BYTES = gauge("poller_buffered_bytes", "Bytes read ahead and not yet settled.", MAPPING)

LAST_SIGHTINGS = histogram(
    "poller_given_up_invocations",
    "How often the function, run by this process, had seen a message that nobody gets again: given up, or left to the redrive "
    "policy of its queue. 0: it was dead-lettered without having been tried.",
    MAPPING,
    buckets=(0, 1, 2, 3, 5, 10, 20),
)
CIRCUIT_BREAKER = gauge(
    "poller_circuit_breaker",
    "1 for the state that the mapping's circuit breaker is in, 0 for the others: closed, open (nothing is received), half_open.",
    MAPPING,
    Label(name="state", values=BREAKER_STATES),
    from_start=False,
)
QUEUE_MESSAGES = gauge(
    "poller_queue_messages",
    "About how many messages the queue holds, by its own word, asked every minute.",
    MAPPING,
    Label(name="state", values=MESSAGE_STATES),
    cloudwatch="ApproximateNumberOfMessages*",
    from_start=False,
)
VISIBILITY_EXTENSIONS = counter(
    "poller_visibility_extensions_total",
    "Messages in hand whose visibility time-out was extended, or handed back. `lost`: ours no longer, so likely delivered again.",
    MAPPING,
    Label(name="outcome", values=EXTENSION_OUTCOMES),
)

# --------------------------------------------------------------------------------------------- shards, leases and checkpoints

SHARDS = gauge(
    "poller_shards",
    "Shards that this process knows; `blocked`: batches fail and no more may be read, or one waits for an operator.",
    MAPPING,
    Label(name="state", values=SHARD_STATES),
)
SHARD_SERIES_COLLAPSED = gauge(
    "poller_shard_series_collapsed",
    'Whether per-shard gauges are folded into their maximum (shard="max"), as above 100 shards: 0 or 1.',
    MAPPING,
)
LEASES_OWNED = gauge("poller_leases_owned", "Shards whose lease this process holds.", MAPPING)
LEASE_TRANSITIONS = counter(
    "poller_lease_transitions_total",
    "What happened to leases: acquired and released by us; lost: the store knows it no more or refused us; "
    "stolen: taken by another while still ours; expired: not renewed in time.",
    MAPPING,
    Label(name="transition", values=LEASE_CHANGES),
)
CHECKPOINTS = counter(
    "poller_checkpoints_total",
    "Checkpoint writes. `fenced`: refused, because somebody else holds the lease.",
    MAPPING,
    Label(name="outcome", values=CHECKPOINT_OUTCOMES),
)
CHECKPOINT_TRIMMED = counter(
    "poller_checkpoint_trimmed_total",
    "Shards whose checkpoint was older than the oldest event: events expired unread.",
    MAPPING,
)

# ----------------------------------------------------------------------------------------------------------------- mappings

MAPPING_STATE = gauge(
    "poller_mapping_state",
    "1 for the state that the mapping is in, 0 for the others.",
    MAPPING,
    Label(name="state", values=MAPPING_STATES),
    cloudwatch="State (of the mapping)",
)
MAPPING_INFO = gauge(
    "poller_mapping_info",
    "1; joins a mapping's name with what it reads and what it invokes.",
    MAPPING,
    Label(name="source_type"),
    Label(name="source"),
    FUNCTION,
)
SUPERVISED_RESTARTS = counter(
    "poller_supervised_restarts_total", "Parts of a mapping that crashed and were started again.", MAPPING
)

# ------------------------------------------------------------------------------------------------------------- the daemon

STORE_UP = gauge("poller_store_up", "Whether the last operation on the store worked: 0 or 1.")
STORE_OPERATION_DURATION = histogram(
    "poller_store_operation_duration_seconds",
    "Time of one operation on the store, failed ones included.",
    Label(name="operation", values=STORE_OPERATIONS),
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)
EVENT_LOOP_LAG = histogram(
    "poller_event_loop_lag_seconds",
    "How late the event loop woke a sleeper, sampled every second.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
LAST_RELOAD_SUCCESSFUL = gauge(
    "poller_config_last_reload_successful", "Whether the configuration runs as it was last read: 0 or 1."
)
LAST_RELOAD_SUCCESS = gauge(
    "poller_config_last_reload_success_timestamp_seconds", "When a configuration was last read and runs, as Unix time."
)
READY = gauge("poller_ready", "Whether the daemon is ready and not draining, as /readyz says: 0 or 1.")
BUILD_INFO = gauge(
    "poller_build_info",
    "1; tells which build this is.",
    Label(name="version"),
    Label(name="revision"),
    Label(name="python"),
)

CATALOGUE: tuple[AnyDefinition, ...] = tuple(
    value for value in (*globals().values(), *vars(catalogue_functions).values()) if isinstance(value, Definition)
)
"""All of them, in the order of this file, then those of functions (`catalogue_functions`)."""
