"""A function behind a URL that does nothing, as fast as an HTTP server in Python can."""

from __future__ import annotations

import asyncio

from benchmarks.reply import Reply
from benchmarks.stand_in import serve
from poller.daemon import loop_factory


class Nothing:
    """See `stand_in.Service`."""

    def answer(self, operation: bytes, body: bytes) -> Reply:
        """The answer of a handler that did nothing wrong."""
        del operation, body
        return Reply(b'{"batchItemFailures": []}')


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(Nothing()))
