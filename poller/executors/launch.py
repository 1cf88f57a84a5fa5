"""Starts a worker process: its environment, its descriptors, its folder, and what ends it with the daemon."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from poller.executors import worker

if TYPE_CHECKING:
    from collections.abc import Mapping

PASSED_ON = frozenset({"PATH", "LANG", "LANGUAGE"})
PASSED_ON_PREFIX = "LC_"
CREDENTIALS_PREFIX = "AWS_"
OWN_PREFIXES = ("AWS_LAMBDA_", "AWS_EXECUTION_ENV")
"""What the daemon itself may have by these names says where the daemon runs, not who it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """A function that runs in worker processes.

    Attributes:
        name: of the function.
        arn: of the function; its region becomes AWS_REGION. For invocations that name none.
        handler: `module.function`, below `code`.
        code: the folder that is first on the function's `sys.path` and its current directory.
        python: the interpreter, 3.8 or newer; None: the daemon's own.
        environment: variables for the function; they win over all but Lambda's reserved ones.
        timeout: seconds that one invocation may take; initialisation may take as long, or 10 s if that is longer.
        memory_size: MB; only told to the context.
        maximum_concurrency: the most workers at the same time.
        credentials: `inherit` hands the daemon's AWS_* variables and home folder to the function, `none` does not.
    """

    name: str
    handler: str
    code: Path
    arn: str = ""
    python: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 3.0
    memory_size: int = 128
    maximum_concurrency: int = 1
    credentials: Literal["none", "inherit"] = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A process that was just started, and our ends of what connects us; all non-blocking.

    Attributes:
        process: the leader of a session and of a process group of its own.
        pidfd: readable once the process has ended.
        channel: see `worker`.
        stdout: what the function prints, also through its own children.
        stderr: the same.
        lifeline: when this is closed, the kernel kills the process group.
        folder: its temporary folder.
    """

    process: subprocess.Popen[bytes]
    pidfd: int
    channel: socket.socket
    stdout: int
    stderr: int
    lifeline: int
    folder: Path


def launch(spec: ProcessSpec, log_stream: str) -> Launched:
    """Starts a worker. To be called in the main thread: the kernel takes the end of the calling thread for the daemon's.

    Raises OSError; then nothing is left behind.
    """
    with ExitStack() as ours, ExitStack() as theirs:
        folder = Path(tempfile.mkdtemp(prefix="poller-"))
        ours.callback(folder.rmdir)  # nobody has had the time to put anything into it
        channel, far_channel = socket.socketpair()
        channel.settimeout(0)
        ours.enter_context(channel)
        theirs.enter_context(far_channel)
        stdout, far_stdout = _pipe(ours, theirs)
        stderr, far_stderr = _pipe(ours, theirs)
        far_lifeline, lifeline = _pipe(theirs, ours)
        process = subprocess.Popen(  # noqa: S603 - what to run is the configuration's to say
            (spec.python or sys.executable, worker.__file__, str(far_channel.fileno())),
            stdin=subprocess.DEVNULL,
            stdout=far_stdout,
            stderr=far_stderr,
            pass_fds=(far_channel.fileno(), far_lifeline),
            cwd=spec.code,
            env=environment(spec, os.environ, folder, log_stream),
            start_new_session=True,
        )
        ours.callback(process.wait)
        ours.callback(process.kill)
        _kill_when_broken(far_lifeline, process.pid)
        pidfd = os.pidfd_open(process.pid)
        ours.pop_all()
    return Launched(process=process, pidfd=pidfd, channel=channel, stdout=stdout, stderr=stderr, lifeline=lifeline, folder=folder)


def environment(spec: ProcessSpec, daemon: Mapping[str, str], folder: Path, log_stream: str) -> dict[str, str]:
    """The whole environment of a function. `daemon` is the daemon's own, of which next to nothing is handed on."""
    home = {"HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true"}  # both lead to the daemon's credentials
    if spec.credentials == "inherit":
        home = {name: value for name, value in daemon.items() if _is_credential(name)}
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        **{name: value for name, value in daemon.items() if name in PASSED_ON or name.startswith(PASSED_ON_PREFIX)},
        **home,
        **_region(spec.arn),
        "TZ": "UTC",
        "TMPDIR": str(folder),
        **spec.environment,
        **_reserved(spec, log_stream),
    }


def _is_credential(name: str) -> bool:
    return name == "HOME" or (name.startswith(CREDENTIALS_PREFIX) and not name.startswith(OWN_PREFIXES))


def _region(arn: str) -> dict[str, str]:
    """The region of a function's ARN (`arn:aws:lambda:REGION:...`) as AWS SDKs look for it."""
    _, _, region = arn.partition(":lambda:")
    name = region.partition(":")[0]
    return {"AWS_REGION": name, "AWS_DEFAULT_REGION": name} if name else {}


def _reserved(spec: ProcessSpec, log_stream: str) -> dict[str, str]:
    """What Lambda does not let a function's configuration set."""
    return {
        "_HANDLER": spec.handler,
        "LAMBDA_TASK_ROOT": str(spec.code.resolve()),
        "LAMBDA_RUNTIME_DIR": str(Path(worker.__file__).parent),
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_size),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{spec.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    }


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    """A pipe whose ends are closed with these; its read end does not block."""
    read_end, write_end = os.pipe()
    reader.callback(os.close, read_end)
    writer.callback(os.close, write_end)
    os.set_blocking(read_end, False)
    return read_end, write_end


def _kill_when_broken(pipe: int, group: int) -> None:
    """Lets the kernel send SIGKILL to a process group as soon as nobody holds the other end of this pipe.

    It works without a thread or a process that would have to be alive and willing, and it reaches all children in the group. It
    holds as long as any process of the group has the pipe open.
    """
    fcntl.fcntl(pipe, fcntl.F_SETOWN, -group)
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
