"""An HTTP session of aiobotocore's that follows no redirect.

botocore follows none by itself, aiobotocore's does, as aiohttp by default: the request goes on to wherever it is told, with its
body and the session token, and what is found there (the page of a proxy) counts as the service's answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobotocore.httpsession import AIOHTTPSession

if TYPE_CHECKING:
    from poller.apis.sdk import Sdk


class StayingSession(AIOHTTPSession):  # type: ignore[misc]  # the SDK has no types
    """For `AioConfig`. A redirect is an answer like any other, and an error to botocore."""

    async def _get_session(self, proxy_url: str | None) -> Sdk:
        return _Staying(await super()._get_session(proxy_url))


class _Staying:
    """What is used of an `aiohttp.ClientSession`."""

    def __init__(self, session: Sdk) -> None:
        self._session = session

    async def request(self, method: str, **options: Sdk) -> Sdk:
        """See `aiohttp.ClientSession.request`."""
        return await self._session.request(method, allow_redirects=False, **options)
