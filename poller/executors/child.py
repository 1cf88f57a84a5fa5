"""A worker process as the daemon sees it: what is asked of it, what it answers, and its end.

Everything happens in callbacks of the event loop. The end is always the same: the process group is killed while the dead leader's
number is still ours, the leader is reaped, what it has said last is read, and only then anybody who waits is told.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from poller.executors.channel import Reply
from poller.executors.output import Output
from poller.executors.waiting import outlast

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from poller.executors.launch import Launched
    from poller.executors.paced import Printed
    from poller.executors.worker import Call

Cause = Literal["itself", "timeout", "channel", "oom", "stopped"]

UNTAKEN = b"U"
"""Kind of a reply: the worker, asked when it had answered but was not yet `ready`, did not come for more. It may be dead."""

CLOSING_SECONDS = 0.2
"""A process that ends closes its socket first: so long it is given to be dead before that counts as a broken connection."""

GROUP_POLL_SECONDS = 0.002
GROUP_POLLS = 50
"""How often to look for the rest of a killed group. It is gone in no time; what may be left are dead that nobody reaps."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The worker is dead, and its group with it.

    Attributes:
        cause: it died by `itself`, or was killed: for `timeout`, for what came over its `channel`, because it was out of memory
            (`oom`), or because it was `stopped`.
        status: its exit status, or the negative number of the signal that killed it.
        detail: what was wrong with its channel.
    """

    cause: Cause
    status: int
    detail: str = ""


class Link(Protocol):
    """What requests go to a worker by, and its replies come back. The worker's `Child` is told of what comes."""

    @property
    def ready(self) -> bool:
        """Whether a worker that has answered takes the next request already."""

    @property
    def taken(self) -> bool:
        """Whether the worker has, or may have, come for the last request."""

    def send(self, call: Call, event: bytes, sequence: int) -> None:
        """Sends a request, or keeps it for a moment, until the worker comes for it. Never called before it has answered."""

    def read(self) -> None:
        """Takes in what has arrived: what a dead worker has said last."""

    def close(self) -> None:
        """Closes what is open. Nothing is told any more."""


class Keeper(Protocol):
    """Who keeps a worker, and is told what becomes of it."""

    def ready(self, child: Child) -> None:
        """It can be asked again. Only called where it could not yet be when whoever had its answer called `Child.rest`."""

    def buried(self, child: Child, ended: Ended) -> None:
        """It is dead, and nothing is left of it but its folder."""


class Child:
    """One worker process. `connect` makes its link, which then calls `received`, `broken` and `asked_again`."""

    def __init__(self, launched: Launched, connect: Callable[[Child], Link], events: Printed, keeper: Keeper) -> None:
        self._loop = asyncio.get_running_loop()
        self._launched = launched
        self._keeper = keeper
        self._cause: Cause | None = None
        self._detail = ""
        self._sequence = 0
        self._rests = False
        self._answer: asyncio.Future[Reply | Ended] | None = None
        self._deadline = self._due = self._looks_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._outputs = (Output(launched.stdout, "stdout", events), Output(launched.stderr, "stderr", events))
        self._link = connect(self)
        self.dead: asyncio.Future[Ended] = self._loop.create_future()
        self._loop.add_reader(launched.pidfd, self._exited)

    @property
    def alive(self) -> bool:
        """Whether it can be asked for anything more."""
        return self._cause is None

    @property
    def ready(self) -> bool:
        """Whether it takes the next request now. It may not, for a moment after its answer; its keeper is told when it does."""
        return self._answer is None and self._cause is None and self._link.ready

    @property
    def group(self) -> int:
        """Its process group, which is also the number of its first process."""
        return self._launched.process.pid

    @property
    def folder(self) -> Path:
        """Its temporary folder, which whoever started it removes."""
        return self._launched.folder

    def reply(self, seconds: float) -> asyncio.Future[Reply | Ended]:
        """Its next reply, or its end, which comes after so many seconds at the latest. The first reply comes unasked."""
        self._answer = answer = self._loop.create_future()
        if self.dead.done():  # its last reply and its end were read in one turn of the loop: nothing will come any more
            answer.set_result(self.dead.result())
        else:
            self._watch(self._loop.time() + seconds)
        return answer

    def ask(self, call: Call, event: bytes, seconds: float) -> asyncio.Future[Reply | Ended]:
        """Begins an invocation. The future holds its reply, or the worker's end, at the latest after so many seconds.

        A worker that has answered may be asked before it is `ready`: that saves a turn of the loop. Where it does not come for
        the request soon, the reply is of the kind `UNTAKEN`, and the worker is none the worse for it: it still has to be ready by
        the deadline that it had before.

        Whoever waits for it calls `rest` when it is there, and `end` when he is cancelled.
        """
        self._sequence += 1
        self._rests = False
        for output in self._outputs:
            output.belongs_to(call.request_id)
        self._due = self._loop.time() + seconds if self.ready else self._deadline
        self._link.send(call, event, self._sequence)
        return self.reply(seconds)

    def rest(self) -> None:
        """The invocation is over. To be called in a later turn of the loop than its reply came: what was printed is read then.

        From now on its keeper is told when it becomes `ready`, unless it is by now.
        """
        self._rests = True
        for output in self._outputs:
            output.belongs_to(None)

    async def end(self) -> None:
        """Kills it. Returns, cancelled or not, when it is dead."""
        self.stop()
        await outlast(self.dead)

    def stop(self, cause: Cause = "stopped", detail: str = "") -> None:
        """Kills it; `dead` tells when that has happened. The first cause given is the one that is reported."""
        if self._cause is None:
            self._cause, self._detail = cause, detail
            self._kill()

    def dismiss(self, seconds: float) -> None:
        """Asks its group to end, and kills what has not after so many seconds; what outlives the leader is killed at once."""
        if self._cause is None:
            self._cause = "stopped"
            with suppress(ProcessLookupError):
                os.killpg(self._launched.process.pid, signal.SIGTERM)
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(seconds, self._kill)

    def _watch(self, deadline: float) -> None:
        """Kills it at the deadline unless it is ready for more. A timer that is due earlier is kept: it looks again (`_look`)."""
        if self._cause is not None:  # it is being killed, at a time of its own
            return
        self._deadline = deadline
        if self._timer is None or self._looks_at > deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._looks_at = deadline  # under uvloop a timer that is due at once does not know when it is
            self._timer = self._loop.call_at(deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if self.ready:
            return
        if self._loop.time() >= self._deadline:
            self.stop("timeout")
        else:
            self._watch(self._deadline)

    def received(self, reply: Reply) -> None:
        """Its link has a reply. What does not answer the last request is its end."""
        if self._cause not in {None, "itself"}:
            return  # too late: it is being killed
        answer, self._answer = self._answer, None
        if answer is None or reply.sequence != self._sequence:
            self.stop("channel", "it answered what it was not asked")
        elif not answer.done():  # not cancelled a moment ago
            answer.set_result(reply)
            if reply.kind == UNTAKEN:
                self._watch(self._due)

    def asked_again(self) -> None:
        """Its link takes the next request, some time after the last reply."""
        if self._rests and self._cause is None:
            self._keeper.ready(self)

    def broken(self, reason: str) -> None:
        """Nothing will come over its link any more."""
        self._loop.call_later(CLOSING_SECONDS, self.stop, "channel", reason)

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._launched.process.pid, signal.SIGKILL)

    def _exited(self) -> None:
        """The leader is dead, not yet reaped: nobody else can have its number, which is its group's as well."""
        self._loop.remove_reader(self._launched.pidfd)
        if self._timer is not None:  # soon the number may be somebody else's
            self._timer.cancel()
        self._kill()
        self._cause = self._cause or "itself"
        status = self._launched.process.wait()
        for output in self._outputs:
            output.read()
        self._link.read()
        self._bury(Ended(self._cause, status, self._detail), GROUP_POLLS)

    def _bury(self, ended: Ended, polls: int) -> None:
        """Waits, not for ever, for the rest of the group to be gone; then closes everything and tells who waits."""
        if polls and _group_exists(self._launched.process.pid):
            self._loop.call_later(GROUP_POLL_SECONDS, self._bury, ended, polls - 1)
            return
        self._link.close()
        for output in self._outputs:
            output.close()
        os.close(self._launched.pidfd)
        os.close(self._launched.lifeline)
        try:
            self._keeper.buried(self, ended)
        finally:  # whoever waits must not wait for ever
            self.dead.set_result(ended)
            if self._answer is not None and not self._answer.done():
                untaken = Reply(UNTAKEN, b"", self._sequence, 0.0, 0)
                self._answer.set_result(ended if self._link.taken else untaken)


def _group_exists(group: int) -> bool:
    """Whether any process of a killed group is left. Reaps those that the daemon has inherited, as process 1 of a container."""
    with suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
