"""One table: what AWS, botocore and the network can answer, and what the caller does next."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from aiohttp import ClientError as AiohttpError
from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from poller.apis.connection import WireError
from poller.errors import ApiErrorKind, DataTrimmed, IteratorExpired, PollerError, SourceGone, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from poller.apis.sdk import Json, Sdk

T = TypeVar("T")

CALL_TIMEOUT: Final = 60.0
"""Seconds for one whole call: longer than a long poll, and an end to answers that trickle."""

FOREIGN: Final = (ClientError, BotoCoreError, ResponseParserError, WireError, AiohttpError, TimeoutError, OSError, RuntimeError)
"""What a call through aiobotocore or the wire may raise.

`RuntimeError`: botocore, for credentials that are expired after their refresh.
"""


class Call(NamedTuple):
    """A call, for messages: the operation in the service's spelling, and what it is about (an ARN)."""

    operation: str
    resource: str


async def perform(call: Call, request: Awaitable[Json], read: Callable[[Json], T], timeout: float = CALL_TIMEOUT) -> T:  # noqa: ASYNC109 -- one deadline for request and answer
    """Awaits a call through aiobotocore, reads its answer, and raises our errors, never the SDK's.

    `read` may raise KeyError, TypeError or ValueError where the answer lacks something: that is `Unavailable`, kind `server`.
    """
    try:
        async with asyncio.timeout(timeout):
            answer = await request
    except FOREIGN as error:
        raise translate(error, call) from None  # the SDK's message may hold the signed request, session token included
    try:
        return read(answer)
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable(call.operation, "server", f"{call.resource}: unusable answer: {error!r}") from error


def translate(error: Exception, call: Call) -> PollerError:
    """The error of ours that says what to do about one of `FOREIGN`; raises it again where it is none of theirs."""
    if isinstance(error, ClientError):
        return _answered(error, call)
    if isinstance(error, WireError):
        return Unavailable(call.operation, error.kind, f"{call.resource}: {_line(str(error))}")
    kind = _kind_of_failure(error)
    if kind is None:
        raise error
    return Unavailable(call.operation, kind, f"{call.resource}: {_described(error)}")


def _described(error: Exception) -> str:
    line = _line(str(error))
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


# ------------------------------------------------------------------------------------------------- the service answered an error

KINDS: Final[dict[ApiErrorKind, frozenset[str]]] = {
    "throttled": frozenset({
        "BandwidthLimitExceeded", "LimitExceededException", "OverLimit", "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException",
        "SlowDown", "TooManyRequests", "TooManyRequestsException", "TransactionInProgressException",
    }),
    "auth": frozenset({
        "AuthFailure", "AuthorizationError", "AuthorizationErrorException", "IncompleteSignature", "InvalidAccessKeyId",
        "InvalidClientTokenId", "InvalidSecurity", "InvalidSignatureException", "InvalidToken", "MissingAuthenticationToken",
        "MissingAuthenticationTokenException", "NotAuthorized", "OptInRequired", "RequestExpired", "RequestTimeTooSkewed",
        "SignatureDoesNotMatch", "SubscriptionRequiredException", "TokenRefreshRequired", "UnauthorizedOperation",
        "UnrecognizedClientException",
    }),
    "not_found": frozenset({"NonExistentQueue", "QueueDoesNotExist", "ResourceNotFoundException", "NotFound", "NoSuchBucket"}),
    "expired_iterator": frozenset({"ExpiredIteratorException"}),
    "timeout": frozenset({"RequestTimeout", "RequestTimeoutException"}),
}  # fmt: skip
"""Error codes without their prefix (`AWS.SimpleQueueService.NonExistentQueue` is `NonExistentQueue`)."""

TRIMMED: Final = "TrimmedDataAccessException"
"""Of DynamoDB Streams. Kinesis never says it: there an iterator goes on at the oldest record."""

PREFIXES: Final[tuple[tuple[str, ApiErrorKind], ...]] = (
    ("Throttl", "throttled"),
    ("ExpiredToken", "auth"),
    ("AccessDenied", "auth"),
)

STATUSES: Final[dict[int, ApiErrorKind]] = {401: "auth", 403: "auth", 408: "timeout", 429: "throttled"}
"""For codes that are in no table."""

FIRST_SERVER_STATUS: Final = 500


def kind_of(code: str, status: int) -> ApiErrorKind:
    """The class of an error answer: by its code; where nobody knows the code, by the HTTP status."""
    name = code.rsplit(".", 1)[-1]
    if code.upper().startswith("KMS"):
        return "throttled" if "THROTTL" in code.upper() else "auth"
    for kind, names in KINDS.items():
        if name in names:
            return kind
    for prefix, kind in PREFIXES:
        if name.startswith(prefix):
            return kind
    return STATUSES.get(status, "server" if status >= FIRST_SERVER_STATUS else "other")


def _answered(error: ClientError, call: Call) -> PollerError:
    response: Sdk = error.response
    details: Json = response.get("Error", {})
    metadata: Json = response.get("ResponseMetadata", {})
    code = str(details.get("Code") or "")
    kind = kind_of(code, int(metadata.get("HTTPStatusCode", 0)))
    if error.operation_name != call.operation and kind in ("not_found", "expired_iterator", "other"):
        kind = "auth"  # botocore asked another service, for credentials
    message = f"{call.resource}: {code or 'no error code'}{_detail(kind, details.get('Message'))}"
    if kind == "not_found":
        return SourceGone(f"{call.operation}: {message}; check that it exists in this account and region")
    if kind == "expired_iterator":
        return IteratorExpired(f"{call.operation}: {message}")
    if code.rsplit(".", 1)[-1] == TRIMMED:
        return DataTrimmed(f"{call.operation}: {message}")
    return Unavailable(call.operation, kind, message, retry_after=_retry_after(metadata.get("HTTPHeaders", {})))


def _detail(kind: ApiErrorKind, message: object) -> str:
    """What the service says, but for refused credentials: then AWS may print the signed request, session token included."""
    line = _line(str(message or ""))
    return f": {line}" if line and kind != "auth" else ""


def _retry_after(headers: Json) -> float | None:
    """Seconds of a Retry-After header; its other form, a date, no AWS service sends."""
    value = headers.get("retry-after", "").strip()
    return float(value) if re.fullmatch(r"\d{1,5}(\.\d{1,3})?", value) else None


def _line(text: str) -> str:
    return " ".join(text.split())[:300]


# ------------------------------------------------------------------------------------------------------------- no answer came

CREDENTIALS_FAILED: Final = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.UnknownCredentialError,
    boto.NoAuthTokenError,
    boto.TokenRetrievalError,
    boto.UnknownTokenProviderError,
    boto.MetadataRetrievalError,
    boto.RefreshWithMFAUnsupportedError,
    boto.InvalidConfigError,
    boto.SSOError,
    boto.LoginError,
)

FAILURES: Final[tuple[tuple[ApiErrorKind, tuple[type[Exception], ...]], ...]] = (
    ("auth", CREDENTIALS_FAILED),
    ("timeout", (boto.ConnectTimeoutError, boto.ReadTimeoutError, TimeoutError)),
    ("connection", (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError, AiohttpError)),
    ("server", (ResponseParserError,)),
    ("auth", (OSError,)),  # of a credential file or program: the network's are wrapped in HTTPClientError
    ("other", (BotoCoreError,)),
)
"""The first row that fits holds: timeouts are connection errors too, and `TimeoutError` is an `OSError`."""


def _kind_of_failure(error: Exception) -> ApiErrorKind | None:
    for kind, classes in FAILURES:
        if isinstance(error, classes):
            return kind
    return "auth" if isinstance(error, RuntimeError) and "redentials" in str(error) else None
