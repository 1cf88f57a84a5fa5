"""What can go wrong, named by what the caller does next.

`ConfigError`: exit. `LeaseLost`: stop this shard. `Unavailable`: try later. `MappingError`: stop this mapping, say why, look
again later. Adapters translate foreign exceptions into these at their edge; what a *function* does wrong is never an
exception (see `poller.core.model.Outcome`).
"""

from __future__ import annotations

from typing import Literal

ApiErrorKind = Literal["throttled", "server", "timeout", "connection", "auth", "not_found", "expired_iterator", "other"]
"""The closed set of values of the `error` label of `poller_source_api_errors_total`."""


class PollerError(Exception):
    """Base of everything that the poller raises on purpose."""


class ConfigError(PollerError):
    """The configuration cannot work: print the message, exit with 78 (EX_CONFIG).

    The message says where (file:line:column or a path inside the document) and what to do.
    """


class LeaseLost(PollerError):
    """Somebody else may hold this shard now: stop touching it at once, settle nothing more."""


class Unavailable(PollerError):
    """The other side did not answer, refused for now, or asked us to slow down: try again later.

    Attributes:
        operation: the call that failed, in the service's spelling (`GetRecords`).
        kind: the class of the failure; one of a closed set, fit for a metric label.
        retry_after: seconds the other side asked us to wait; None where it said nothing.
    """

    def __init__(self, operation: str, kind: ApiErrorKind, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(f"{operation}: {message or kind}")
        self.operation = operation
        self.kind: ApiErrorKind = kind
        self.retry_after = retry_after


class IteratorExpired(PollerError):
    """A shard iterator outlived its time: ask for one after the last record that was read."""


class DataTrimmed(PollerError):
    """What was to be read next is older than the stream keeps records: go on at the oldest that it has."""


class MappingError(PollerError):
    """This mapping cannot run as things are; the others can. The message names the mapping's source and the remedy."""


class SourceGone(MappingError):
    """The stream or queue does not exist."""


class TrimmedUnread(MappingError):
    """Retention has taken records of a shard that nobody had read, and the mapping is to stop there (`on_trimmed: fail`)."""


class CheckpointUnreadable(MappingError):
    """What the store holds beside a shard's checkpoint is not what this poller writes: that shard stops, the others go on."""


class CheckpointMismatch(MappingError):
    """The store's checkpoint belongs to another stream, or to an earlier incarnation of it, or has vanished."""
