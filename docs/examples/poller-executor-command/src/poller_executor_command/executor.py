"""Runs a command for each invocation, and ends it with all that it has started."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from poller.plugins import (
    MAX_ANSWER_BYTES,
    MAX_EVENT_BYTES,
    Errored,
    Figures,
    Refused,
    Returned,
    TooLarge,
    exited,
    not_started,
    timed_out,
    too_large,
)

if TYPE_CHECKING:
    from asyncio import StreamReader
    from asyncio.subprocess import Process

    from poller.plugins import Answer, Invocation, PluginFunction

EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
"""The machine, not the function, is why a process cannot be started: `Refused` spends no retry."""

PASSED_ON: Final = ("PATH", "LANG", "LC_ALL")
MAX_LINE_BYTES: Final = 64 * 1024


class CommandExecutor:
    """Keeps nothing between invocations: what it starts has ended when `invoke` returns."""

    def __init__(self, function: PluginFunction) -> None:
        self._function = function
        command, environment = function.options["command"], function.options.get("environment", {})
        assert isinstance(command, list)  # `check` has seen to it, and to the other
        assert isinstance(environment, dict)
        self._command: list[str] = command
        self._environment: dict[str, str] = environment

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """No process is left: each ends with its invocation."""

    async def invoke(self, invocation: Invocation) -> Answer:
        """See `poller.ports.Executor`."""
        if len(invocation.event) > MAX_EVENT_BYTES:
            return TooLarge(len(invocation.event))
        clock, request_id = self._function.clock, invocation.request_id
        begun, seconds = clock.monotonic(), invocation.deadline - clock.time()
        try:
            process = await self._start(invocation)
        except OSError as error:
            if error.errno in EXHAUSTED:
                return Refused("unavailable", detail=f"no process can be started: {error}")
            return Errored("crash", not_started(request_id, f"{error.strerror}: {error.filename}"))
        except ValueError as error:
            return Errored("crash", not_started(request_id, str(error)))
        try:
            async with asyncio.timeout(seconds):
                output, size = await self._converse(process, invocation)
        except TimeoutError:
            return Errored("timeout", timed_out(request_id, seconds), Figures(duration=clock.monotonic() - begun))
        finally:
            await _end(process)  # also when the invocation is cancelled: it may do no harm after that
        return _answer(request_id, process.returncode or 0, output, size, Figures(duration=clock.monotonic() - begun))

    async def _start(self, invocation: Invocation) -> Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=MAX_LINE_BYTES,
            cwd=self._function.folder,
            env=self._environment_of(invocation),
            start_new_session=True,  # a process group of its own, to be ended as one
        )

    def _environment_of(self, invocation: Invocation) -> dict[str, str]:
        """Next to nothing of the daemon's own: it holds credentials."""
        return {
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            **self._environment,
            "AWS_LAMBDA_FUNCTION_NAME": self._function.name,
            "LAMBDA_RUNTIME_AWS_REQUEST_ID": invocation.request_id,
            "LAMBDA_RUNTIME_DEADLINE_MS": str(int(invocation.deadline * 1000)),
            "LAMBDA_RUNTIME_INVOKED_FUNCTION_ARN": invocation.arn or self._function.arn,
            **({} if invocation.trace is None else {"_X_AMZN_TRACE_ID": invocation.trace}),
        }

    async def _converse(self, process: Process, invocation: Invocation) -> tuple[bytes, int]:
        """All three pipes at once, or one of them would fill up; then the end. Stdout, cut at the limit, and its real size."""
        async with asyncio.TaskGroup() as pipes:
            pipes.create_task(_feed(process, invocation.event))
            output = pipes.create_task(_collect(_reader(process.stdout)))
            pipes.create_task(self._log(_reader(process.stderr), invocation.request_id))
        await process.wait()
        return output.result()

    async def _log(self, stderr: StreamReader, request_id: str) -> None:
        """Line by line; what is longer than the limit goes in pieces."""
        while True:
            try:
                line = await stderr.readuntil(b"\n")
            except asyncio.LimitOverrunError as error:
                line = await stderr.readexactly(error.consumed)
            except asyncio.IncompleteReadError as error:
                line = error.partial
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            self._function.events.output(text, stream="stderr", request_id=request_id)


def _answer(request_id: str, status: int, output: bytes, size: int, figures: Figures) -> Answer:
    """What the command's end means: 0 is an answer, anything else an error, which it may describe as Lambda's error object."""
    if size > MAX_ANSWER_BYTES:
        return Errored("function_error", too_large(size), figures)
    if status == 0:
        return Returned(output.strip() or b"null", figures)
    if _is_error_object(output):
        return Errored("function_error", output.strip(), figures)
    return Errored("crash", exited(request_id, status), figures)


def _is_error_object(output: bytes) -> bool:
    try:
        error = json.loads(output)
    except ValueError:
        return False
    return isinstance(error, dict) and "errorType" in error


def _reader(pipe: StreamReader | None) -> StreamReader:
    assert pipe is not None  # `_start` asked for it
    return pipe


async def _feed(process: Process, event: bytes) -> None:
    assert process.stdin is not None  # `_start` asked for it
    with suppress(BrokenPipeError, ConnectionResetError):  # it does not want to know
        process.stdin.write(event)
        await process.stdin.drain()
    process.stdin.close()


async def _collect(stdout: StreamReader) -> tuple[bytes, int]:
    """Reads it to its end, however long, and keeps what an answer may have."""
    kept, size = bytearray(), 0
    while piece := await stdout.read(MAX_LINE_BYTES):
        size += len(piece)
        kept += piece[: max(0, MAX_ANSWER_BYTES - len(kept))]
    return bytes(kept), size


async def _end(process: Process) -> None:
    """Kills the command with its process group. Returns when it is dead, cancelled or not."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    death = asyncio.ensure_future(process.wait())
    while not death.done():
        with suppress(asyncio.CancelledError):  # whoever cancelled us is told when `invoke` goes on raising that
            await asyncio.wait([death])
