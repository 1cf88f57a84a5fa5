"""The least that a worker process in Python can be: frames in, JSON, a handler, JSON, frames out. Started by `bare_dispatch`.

It parses and writes JSON as the handlers of Lambda's runtimes get and give it: by the standard library.
"""

from __future__ import annotations

import json
import os
import struct
import sys

from benchmarks.functions.nothing import handler

REQUEST = struct.Struct(">II")
"""Size of the call, size of the event."""

REPLY = struct.Struct(">I")
"""Size of the answer."""


def main(channel: int) -> None:
    """Until the other end is closed."""
    requests = open(channel, "rb", buffering=1 << 16)  # noqa: SIM115  a descriptor, for life
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        call_size, event_size = REQUEST.unpack(head)
        call = json.loads(requests.read(call_size))
        answer = json.dumps(handler(json.loads(requests.read(event_size)), call)).encode()
        os.write(channel, REPLY.pack(len(answer)) + answer)


if __name__ == "__main__":
    main(int(sys.argv[1]))
