"""Where a mapping reports what it gives up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic import ValidationInfo as Info

from poller.config.arn import FIFO_SUFFIX, Arn, takes_reports
from poller.config.fields import FolderPath, absolute
from poller.config.secret_files import each_filled_in
from poller.config.section import LambdaSection, given_key, given_text, given_value, origin
from poller.config.web import HEADER, Header, HeaderValue, unreachable, url
from poller.config.wording import fault, must

if TYPE_CHECKING:
    from pydantic_core import InitErrorDetails

Kind = Literal["sqs", "sns", "s3", "kinesis", "http", "file"]

OF_HTTP: Final = ("headers", "headers_file", "ca_file", "allow_link_local", "timeout")
OF_FILE: Final = ("maximum_file_size", "rotated_files")
"""Fields that only one kind of destination has."""

_FORM = (
    "must be the ARN of a standard SQS queue, arn:aws:sqs:REGION:ACCOUNT:NAME, of a standard SNS topic,"
    " arn:aws:sns:REGION:ACCOUNT:NAME, of a Kinesis stream, arn:aws:kinesis:REGION:ACCOUNT:stream/NAME, or of an S3 bucket,"
    " arn:aws:s3:::NAME; or a URL, https://HOST/PATH; or a file, file:///PATH"
)
_FILE = "file:"
_QUEUE_HOST = re.compile(r"(?:.*\.)?(?:sqs|queue)\.(?:.*\.)?(?:amazonaws\.com(?:\.cn)?|localstack\.cloud)")
"""Hosts at which SQS answers; nobody posts documents there."""


def failure_destination(text: str, info: Info) -> str | None:
    """The ARN of something that takes reports, a URL, or the URL of a file with its whole path; Lambda's empty text means none.

    Whether it may be a FIFO queue is the source's to say.
    """
    if text == "":
        return None
    if text.startswith(("http://", "https://")):
        return _web(text)
    if text.startswith(_FILE):
        return _file(text.removeprefix(_FILE), info)
    arn = Arn.parse(text)
    if text.startswith("kafka://"):
        raise must(f"{_FORM}: a Kafka topic takes what Kafka sources give up, and nothing else")
    if arn is not None and arn.service == "sns" and arn.resource.endswith(FIFO_SUFFIX):
        raise must("cannot be a FIFO topic (Lambda refuses it too): use a standard one")
    if arn is None or not takes_reports(arn):
        raise must(_FORM)
    return text


def _web(text: str) -> str:
    checked = url(text)
    if _QUEUE_HOST.fullmatch(urlsplit(text).hostname or ""):
        raise must("is the URL of a queue: use its ARN, arn:aws:sqs:REGION:ACCOUNT:NAME")
    return checked


def _file(rest: str, info: Info) -> str:
    if rest.startswith("//") and not rest.startswith("///"):
        raise must("must be file:///PATH, or file:PATH where the path starts at the folder of the configuration")
    path = rest.removeprefix("//")
    if not path or path.endswith(("/", "/.", "/..")) or path in {".", ".."}:
        raise must("names no file: write file:///PATH/NAME.jsonl")
    if "?" in path or "#" in path or "\0" in path:
        raise must('cannot hold "?" or "#": file:///PATH takes no parameters')
    return f"{_FILE}//{absolute(path, info)}"


class OnFailure(LambdaSection):
    """Where records go that are given up."""

    destination: Annotated[str, AfterValidator(failure_destination)] | None = Field(
        default=None,
        description="ARN of a standard SQS queue, a standard SNS topic, a Kinesis stream, or an S3 bucket; or a URL,"
        " https://HOST/PATH; or a file, file:///PATH (file:PATH starts at the folder of this file). Lambda's failure document is"
        ' sent there; an SQS queue or a topic gets a queue\'s message itself. Default: none; "" is none too.',
    )
    include_payload: bool = Field(
        default=False,
        description="true: documents of streams hold the event that was given up, as text, also where Lambda sends none (all but"
        " S3); where that is more than the service takes, payload is null, and payloadSize tells its size. S3 always has it, as"
        " has what becomes of a queue's message. Default false, as Lambda.",
    )
    headers: Mapping[Header, HeaderValue] = Field(
        default_factory=dict,
        repr=False,
        description="HTTP: headers of each request, read as they are written. Default: none but those of a JSON document.",
    )
    headers_file: Mapping[Header, FolderPath] = Field(
        default_factory=dict,
        description="HTTP: headers that are secrets: for each the file that holds its value, relative to the file. Read whenever"
        " the configuration is read; a line break at its end does not count. Default: none.",
    )
    ca_file: FolderPath | None = Field(
        default=None,
        description="HTTP: file with the certificates (PEM) of the authorities to trust for https. Default: the system's.",
    )
    allow_link_local: bool = Field(
        default=False,
        description="HTTP: whether the host's name may stand for a link-local address (169.254.0.0/16, fe80::/10). Default false,"
        " since clouds hand out credentials there; their metadata services are never asked.",
    )
    timeout: float = Field(
        default=30,
        gt=0,
        le=300,
        description="HTTP: seconds for one request, from connecting to the end of the answer. Default 30.",
    )
    maximum_file_size: int = Field(
        default=100_000_000,
        ge=1000,
        description="File: bytes above which it is put aside as PATH.1, PATH.1 as PATH.2, and so on. Default 100,000,000.",
    )
    rotated_files: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="File: how many of those are kept; the oldest one goes, with what it holds. Default 10, about 1 GB.",
    )

    @property
    def kind(self) -> Kind:
        """What it is."""
        scheme, _, rest = self.named.partition(":")
        if scheme in {"http", "https"}:
            return "http"
        if scheme == "file":
            return "file"
        service = rest.split(":")[1]
        return "sns" if service == "sns" else "s3" if service == "s3" else "kinesis" if service == "kinesis" else "sqs"

    @property
    def named(self) -> str:
        """The ARN or URL of the one that is configured."""
        assert self.destination is not None  # noqa: S101  whoever asks has looked
        return self.destination

    @property
    def path(self) -> Path:
        """Of a file."""
        return Path(self.named.removeprefix(f"{_FILE}//"))

    @property
    def region(self) -> str:
        """In its ARN; empty where that names none."""
        return Arn.of(self.named).region

    @property
    def of_aws(self) -> bool:
        """Whether there is one, and it is a service of AWS."""
        return self.destination is not None and self.kind not in {"http", "file"}

    @classmethod
    def from_files(cls, given: dict[str, object], info: Info) -> list[InitErrorDetails]:
        """`headers_file`: what the files hold joins `headers`."""
        return each_filled_in(given, "headers", origin(info).folder, names=HEADER)

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
        """What belongs to one kind of destination only; and where no request goes."""
        text = given_text(given, "destination") or ""
        web, file = text.startswith(("http://", "https://")), text.startswith(_FILE)
        for fields, fits, what in ((OF_HTTP, web, "destinations over HTTP"), (OF_FILE, file, "destinations that are files")):
            keys = [key for field in fields if (key := given_key(given, field)) is not None and not fits]
            yield from (fault((key,), f'"{key}" belongs to {what}: leave it out', at="key") for key in keys)
        if web:
            yield from unreachable(given, "destination")
            yield from _own_header(given)


def _own_header(given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
    for field in ("headers", "headers_file"):
        key, written = given_key(given, field), given_value(given, field)
        if key is None or not isinstance(written, Mapping):
            continue
        for name in written:
            if str(name).lower() == "idempotency-key":
                yield fault((key, str(name)), f'"{name}" is set by poller itself: leave it out', at="key")
                return  # what a file held stands below both by now


class DestinationConfig(LambdaSection):
    """Lambda's DestinationConfig."""

    refused: ClassVar[Mapping[str, str]] = {
        "on_success": "cannot be set: Unsupported DestinationConfig parameter for given event source mapping type."
    }

    on_failure: OnFailure = Field(
        default_factory=OnFailure,
        description="Where records go that are given up. Default: nowhere, they are dropped.",
    )
