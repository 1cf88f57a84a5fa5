"""Lambda's Runtime API for one worker: any program that speaks it can be a function.

HTTP/1.1 at 127.0.0.1, a port for each worker, so that the port says whose call it is. Paths, states, codes and texts are those of
Lambda's own, as its Runtime Interface Emulator has them; where a worker asks for the next invocation before it has answered this
one, it gets this one again, as there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Literal, Protocol, assert_never

from poller.executors import runtime_answers as answers
from poller.executors.channel import Reply
from poller.executors.child import UNTAKEN
from poller.executors.runtime_listener import Listener
from poller.executors.worker import MAX_ANSWER_BYTES, RAISED, READY, RETURNED, too_large

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from poller.executors.runtime_connection import Connection
    from poller.executors.runtime_requests import Head, Request
    from poller.executors.worker import Call

State = Literal["Started", "InitError", "Ready", "Running", "RuntimeResponseSentState"]
"""`Ready`: it has asked for the next invocation. `Running`: there is one, even if nobody waits for it at the moment."""

ROOT = b"/2018-06-01/runtime/"
PATHS: Mapping[bytes, tuple[str | None, bytes]] = {
    ROOT + b"invocation/next": ("Ready", b"GET"),
    ROOT + b"init/error": ("InitError", b"POST"),
    ROOT + b"restore/next": ("RestoreReady", b"GET"),
    ROOT + b"restore/error": ("RestoreError", b"POST"),
}
INVOCATION = ROOT + b"invocation/"
ANSWERS: Mapping[bytes, str] = {b"response": "InvocationResponse", b"error": "InvocationErrorResponse"}
FORMS = frozenset(ANSWERS.values())

RESPONSE_MODE = b"lambda-runtime-function-response-mode"
STREAMING = b"streaming"

RESEND_SECONDS = 0.2
"""Who broke off within an answer has so long to send it again, or to be found dead."""

COMING_SECONDS = 0.1
"""Who has just answered has so long to ask for the invocation that is there already."""

ABSENT_SECONDS = 10.0
"""Who waited for an invocation and hung up has so long to ask again."""


class Worker(Protocol):
    """Who is told what the worker says: see `poller.executors.child.Child`."""

    def received(self, reply: Reply) -> None:
        """It is ready, or has failed to be; it has answered."""

    def asked_again(self) -> None:
        """It has answered, and now asks for more."""

    def broken(self, reason: str) -> None:
        """Nothing sensible will come any more."""


class RuntimeApi:
    """The Runtime API of one worker, and the link (`poller.executors.child.Link`) to it. Takes over the listening socket.

    Attributes:
        taken: whether the worker has come for the last invocation.
    """

    def __init__(self, listener: socket.socket, worker: Worker) -> None:
        self._loop = asyncio.get_running_loop()
        self._worker = worker
        self._state: State = "Started"
        self._waiting: deque[Connection] = deque()
        self._request_id = b""
        self._invocation = (b"", b"")
        self._sequence = 0
        self.taken = True
        self._begun = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._listener = Listener(listener, MAX_ANSWER_BYTES, self)

    @property
    def ready(self) -> bool:
        """Whether it has asked for an invocation and was given none. That it hung up since does not count: it may call again."""
        return self._state == "Ready"

    def send(self, call: Call, event: bytes, sequence: int) -> None:
        """Answers the `next` that waits; where none does, the one that comes soon."""
        self._request_id, self._sequence = call.request_id.encode(), sequence
        self._invocation = (answers.invocation(call, len(event)), event)
        self._begun = self._loop.time()
        self._state = "Running"
        if self._waiting:
            self.taken = True
            self._waiting.popleft().answer(*self._invocation)
        else:
            self.taken = False
            if self._look is None:
                self._look = self._loop.call_later(COMING_SECONDS, self._look_for_it)

    def read(self) -> None:
        """Takes in what has arrived."""
        self._listener.read()

    def close(self) -> None:
        """Closes all sockets. Nothing is told any more."""
        self._listener.close()
        self._forget_timer()
        if self._look is not None:
            self._look.cancel()

    # ------------------------------------------------------------------------------------------- as its connections see it

    def serve(self, connection: Connection, request: Request) -> None:
        """Answers a request, or lets it wait."""
        method, path, _ = request.head
        kind, wanted_method = PATHS.get(path) or _route(path)
        if kind is None:
            connection.answer(answers.NOT_FOUND)
        elif method != wanted_method:
            connection.answer(answers.NOT_ALLOWED)
        elif kind == "Ready":
            self._next(connection)
        elif kind in FORMS:
            connection.answer(self._answered(path.split(b"/")[4], kind, request))
        elif kind == "InitError" and self._state == "Started":
            connection.answer(self._init_failed(request))
        else:
            connection.answer(answers.invalid_transition(self._state, kind))

    def ended(self, connection: Connection, cut_off: Head | None) -> None:
        """A connection was closed. A `next` that waited there is forgotten; an answer that broke off must come again soon."""
        self._listener.connections.discard(connection)
        if connection in self._waiting:
            self._waiting.remove(connection)
            if not self._waiting:
                self._after(ABSENT_SECONDS, self._absent)
        elif cut_off is not None and self._state == "Running" and cut_off.path.split(b"/")[4:] == [self._request_id, b"response"]:
            self._after(RESEND_SECONDS, self._truncated)

    def _next(self, connection: Connection) -> None:
        self._forget_timer()
        state = self._state
        match state:
            case "InitError":
                connection.answer(answers.invalid_transition(state, "Ready"))
            case "Running":
                if not self.taken:
                    self.taken, self._begun = True, self._loop.time()
                connection.answer(*self._invocation)
            case "Ready":
                self._waiting.append(connection)
            case "Started":
                self._waiting.append(connection)
                self._state = "Ready"
                self._tell(READY, b"")
            case "RuntimeResponseSentState":
                self._waiting.append(connection)
                self._state = "Ready"
                self._worker.asked_again()
            case _:
                assert_never(state)

    def _answered(self, request_id: bytes, kind: str, request: Request) -> bytes:
        """What to answer to an answer. What the worker has not come for it cannot have run: a retry keeps its request id."""
        if self._state != "Running" or not self.taken:
            return answers.invalid_transition(self._state if self.taken else "RuntimeResponseSentState", kind)
        if request_id != self._request_id:
            return answers.INVALID_REQUEST_ID
        if request.size > MAX_ANSWER_BYTES:
            self._reply(RAISED, too_large(request.size))
            return answers.TOO_LARGE
        if kind == "InvocationErrorResponse":
            self._reply(RAISED, answers.error_of(request))
            return answers.ACCEPTED
        if request.head.fields.values.get(RESPONSE_MODE, STREAMING).lower() != STREAMING:
            self._reply(RAISED, answers.error_object("Runtime.InvalidResponseModeHeader", "Invalid function response mode"))
            return answers.INVALID_RESPONSE_MODE
        error = answers.error_in_trailers(request)
        self._reply(RETURNED if error is None else RAISED, request.body if error is None else error)
        return answers.ACCEPTED

    def _init_failed(self, request: Request) -> bytes:
        self._state = "InitError"
        self._tell(RAISED, answers.error_of(request))
        return answers.ACCEPTED

    def _reply(self, kind: bytes, payload: bytes) -> None:
        self._forget_timer()
        self._state = "Ready" if self._waiting else "RuntimeResponseSentState"
        self._invocation = (b"", b"")
        self._tell(kind, payload)

    def _tell(self, kind: bytes, payload: bytes) -> None:
        self._worker.received(Reply(kind, payload, self._sequence, self._loop.time() - self._begun, 0))

    # ------------------------------------------------------------------------------------------------------ what stays out

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        """Acts later, unless the worker calls or answers before."""
        self._forget_timer()
        self._timer = self._loop.call_later(seconds, act)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_for_it(self) -> None:
        """Whether the worker has come for its invocation. Made to look rarely: a timer for each would cost more than all else."""
        self._look = None
        if self._state != "Running" or self.taken:
            return
        left = self._begun + COMING_SECONDS - self._loop.time()
        if left > 0:
            self._look = self._loop.call_later(left, self._look_for_it)
        else:
            self._state = "RuntimeResponseSentState"
            self._tell(UNTAKEN, b"")

    def _absent(self) -> None:
        if self._state == "Ready":
            self._worker.broken("it stopped asking for invocations")

    def _truncated(self) -> None:
        self._reply(RAISED, answers.error_object("Runtime.TruncatedResponse", "The answer broke off"))


def _route(path: bytes) -> tuple[str | None, bytes]:
    """What an answer's path leads to, as `PATHS` says it for the fixed ones; None where it leads nowhere."""
    root, _, form = path.rpartition(b"/")
    if root.startswith(INVOCATION) and root.count(b"/") == INVOCATION.count(b"/"):
        return ANSWERS.get(form), b"POST"
    return None, b""
