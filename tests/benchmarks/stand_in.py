"""A Kinesis or an SQS that costs next to nothing, so that a consumer under measurement is never waiting for it.

Answers are rendered ahead as far as they can be; a request costs a search or two and a copy. Nothing is checked, and everything
exists: any stream, any queue, each full at first.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from typing import TYPE_CHECKING, Protocol, cast

from benchmarks.stand_in_kinesis import Streams
from benchmarks.stand_in_sqs import Queues
from poller.daemon import loop_factory

if TYPE_CHECKING:
    from benchmarks.reply import Reply

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
TARGET = re.compile(rb"\r\nx-amz-target: *\w+\.(\w+)", re.IGNORECASE)
END = b"\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n"


class Service(Protocol):
    """What a server speaks for."""

    def answer(self, operation: bytes, body: bytes) -> Reply:
        """The JSON that AWS would answer, as far as a consumer looks, and when."""


class Connection(asyncio.Protocol):
    """HTTP of one client that keeps its connection and sends one request at a time, with its length."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._unread = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        self._unread += data
        end = self._unread.find(END)
        if end < 0:
            return
        length = LENGTH.search(self._unread, 0, end)
        start = end + len(END)
        stop = start + (int(length[1]) if length else 0)
        if len(self._unread) < stop:
            return
        target, body = TARGET.search(self._unread, 0, end), self._unread[start:stop]
        self._unread = self._unread[stop:]
        self._reply(self._service.answer(target[1] if target else b"", body))

    def _reply(self, reply: Reply) -> None:
        message = HEAD % len(reply.body) + reply.body
        if reply.after:
            self._loop.call_later(reply.after, self._late, message)
        else:
            self._transport.write(message)

    def _late(self, message: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(message)


async def serve(service: Service) -> None:
    """Listens on a free port of loopback, which it prints."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(service), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("service", choices=("kinesis", "sqs"))
    parser.add_argument("--records", type=int, required=True, help="of each stream or queue")
    parser.add_argument("--lanes", type=int, required=True, help="shards of each stream")
    parser.add_argument("--size", type=int, default=1024, help="bytes of data in a record")
    given = parser.parse_args()
    service: Service = Queues(given.records, given.size)
    if given.service == "kinesis":
        service = Streams(given.lanes, given.records // given.lanes, given.size)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(service))


if __name__ == "__main__":
    main()
