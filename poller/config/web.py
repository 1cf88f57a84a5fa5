"""URLs that requests go to, and the headers that go with them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator

from poller.config.section import given_key, given_text, given_value
from poller.config.wording import fault, must
from poller.core.addresses import forbidden

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import InitErrorDetails

OWN_HEADERS: Final = re.compile(
    r"host|connection|content-(?:length|type|encoding)|transfer-encoding|accept-encoding|expect|te|trailer|upgrade|user-agent"
    r"|lambda-runtime-.*|x-amzn-.*|traceparent|ce-.*",
    re.IGNORECASE,
)
HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[!-~](?:[\t -~]*[!-~])?")
_URL_ADVICE = (
    "must be a URL, http://HOST:PORT/PATH or https://HOST:PORT/PATH, without user, password or query: put secrets"
    " into headers_file"
)


def _header(text: str) -> str:
    if not HEADER.fullmatch(text):
        raise must("cannot be the name of a header: letters, digits and -")
    if OWN_HEADERS.fullmatch(text):
        raise must("is set by poller itself: leave it out")
    return text


def _header_value(text: str) -> str:
    if not _VALUE.fullmatch(text):
        raise must("must be visible ASCII, on one line, and not empty")
    return text


def url(text: str) -> str:
    """A URL that a request can go to."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
        (parts.hostname or "").encode("idna")  # what cannot be asked of the DNS fails in odd ways later
    except ValueError:
        usable = False
    else:
        secret = parts.username or parts.password or parts.query
        usable = usable and text.isprintable() and not (secret or parts.fragment or " " in text)
    if not usable:
        raise must(_URL_ADVICE)
    return text


Header = Annotated[str, AfterValidator(_header)]
HeaderValue = Annotated[str, AfterValidator(_header_value)]
Url = Annotated[str, AfterValidator(url)]


def unreachable(section: object, field: str) -> Iterator[InitErrorDetails]:
    """An address that no request may go to need not be looked up to be known; `field` holds the URL."""
    key, text = given_key(section, field), given_text(section, field)
    if key is None or text is None:
        return
    try:
        host = urlsplit(text).hostname or ""
    except ValueError:
        return
    if why := forbidden(host, allow_link_local=given_value(section, "allow_link_local") is True):
        remedy = "; allow_link_local: true lets it be" if "link-local" in why else ""
        yield fault((key,), f'"{key}" cannot be used: {why}{remedy}')
