"""A function that runs elsewhere and is invoked over HTTP."""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003  (pydantic reads the annotations)
from typing import TYPE_CHECKING, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field
from pydantic import ValidationInfo as Info

from poller.config.fields import FolderPath  # noqa: TC001  (the same)
from poller.config.function import OF_PROCESS, REFUSED, BaseFunction
from poller.config.secret_files import each_filled_in
from poller.config.section import origin
from poller.config.web import HEADER, Header, HeaderValue, Url, unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import InitErrorDetails

REMOTE_CONCURRENCY: Final = 1000
EMULATOR: Final = re.compile(r"/2015-03-31/functions/[^/]+/invocations")
"""The path that Lambda's Runtime Interface Emulator answers on."""


class HttpFunctionConfig(BaseFunction):
    """A function behind a URL: a container with Lambda's Runtime Interface Emulator, a Knative service, or any other."""

    refused: ClassVar[Mapping[str, str]] = {
        **{name: why for name, why in REFUSED.items() if "executor http" not in why},
        **dict.fromkeys(
            ("handler", "code", *OF_PROCESS),
            "belongs to executor process: what runs behind a URL brings its own",
        ),
    }

    executor: Literal["http"] = Field(
        validation_alias="executor",
        description="http: the function runs elsewhere, and is invoked by a POST to its URL.",
    )
    url: Url = Field(
        description="Where the function answers, with its path, without user, password or query. Only this URL is asked:"
        " redirects are not followed, and no proxy of the environment is used.",
        examples=["http://127.0.0.1:9000/2015-03-31/functions/function/invocations"],
    )
    protocol: Literal["rie", "raw", "cloudevents"] | None = Field(
        default=None,
        description="What the other side speaks. rie: Lambda's Runtime Interface Emulator. raw: the event is the body, the rest"
        " stands in headers named as in Lambda's Runtime API. cloudevents: the same as a CloudEvent 1.0 in binary mode. Default:"
        " rie where the path is the emulator's, else raw.",
    )
    headers: Mapping[Header, HeaderValue] = Field(
        default_factory=dict,
        repr=False,
        description="Headers of each request, read as they are written. Default: none but those that the protocol has.",
    )
    headers_file: Mapping[Header, FolderPath] = Field(
        default_factory=dict,
        description="Headers that are secrets: for each the file that holds its value, relative to the file. Read whenever the"
        " configuration is read; a line break at its end does not count. Default: none.",
    )
    ca_file: FolderPath | None = Field(
        default=None,
        description="File with the certificates (PEM) of the authorities to trust for https. Default: the system's.",
    )
    allow_link_local: bool = Field(
        default=False,
        description="Whether the host's name may stand for a link-local address (169.254.0.0/16, fe80::/10), as that of the host"
        " does in some containers. Default false, since clouds hand out credentials there; their metadata services are never"
        " asked.",
    )
    maximum_concurrency: int | None = Field(
        default=None,
        ge=1,
        description="Invocations at the same time by this process, and so connections. Default: 1 with protocol rie, because an"
        " emulator runs one at a time; else 1000, Lambda's limit of an account.",
    )

    @classmethod
    def from_files(cls, given: dict[str, object], info: Info) -> list[InitErrorDetails]:
        """`headers_file`: what the files hold joins `headers`."""
        return each_filled_in(given, "headers", origin(info).folder, names=HEADER)

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
        """An address that no request may go to need not be looked up to be known."""
        yield from unreachable(given, "url")

    @property
    def spoken(self) -> Literal["rie", "raw", "cloudevents"]:
        """The protocol: as configured, or as the path says."""
        return self.protocol or ("rie" if EMULATOR.fullmatch(urlsplit(self.url).path) else "raw")

    @property
    def own_concurrency(self) -> int:
        """Invocations at the same time."""
        return self.maximum_concurrency or (1 if self.spoken == "rie" else REMOTE_CONCURRENCY)
