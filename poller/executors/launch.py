"""Starts a worker process: its environment, its descriptors, its folder, and what ends it with the daemon."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import subprocess
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from poller.executors import worker

if TYPE_CHECKING:
    from collections.abc import Mapping

Runtime = Literal["python", "nodejs", "provided"]
RuntimeClient = Literal["light", "awslambdaric", "aws-lambda-ric"]
Initialization = Literal["on-demand", "provisioned-concurrency"]

PROFILE_FILES = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}
"""Variables that say where profiles are kept, and where that is without them."""

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
        handler: what to call, as the runtime reads it.
        code: the folder that holds it, and the current directory.
        runtime: `provided` runs the program `bootstrap` in `code`; the others have an interpreter.
        runtime_client: what runs the handler there; `provided` has none, whatever this says.
        python: the interpreter, 3.8 or newer; None: the daemon's own.
        node: the interpreter; None: `node`, as PATH has it.
        environment: variables for the function; they win over all but Lambda's reserved ones.
        timeout: seconds that one invocation may take; initialisation may take as long, or 10 s if that is longer.
        memory_size: MB; what the function is told that it has.
        maximum_concurrency: the most workers at the same time.
        credentials: `inherit` hands the daemon's AWS_* variables and home folder to the function, `none` does not. All else is
            the name of a profile: the function is told that, and where the files are that profiles are kept in.
        initialization: what the function is told of why it was started: for an invocation, or beforehand.
    """

    name: str
    handler: str
    code: Path
    arn: str = ""
    runtime: Runtime = "python"
    runtime_client: RuntimeClient = "light"
    python: str | None = None
    node: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 3.0
    memory_size: int = 128
    maximum_concurrency: int = 1
    credentials: str = "none"
    initialization: Initialization = "on-demand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to start.

    Attributes:
        command: the program and its arguments.
        variables: what its environment has besides; they win.
        descriptors: what it inherits.
        limited: whether it sets its own limits of open files and core dumps.
    """

    command: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    descriptors: tuple[int, ...] = ()
    limited: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A process that was just started, and our ends of what connects us; all non-blocking.

    Attributes:
        process: the leader of a session and of a process group of its own.
        pidfd: readable once the process has ended.
        stdout: what the function prints, also through its own children.
        stderr: the same.
        lifeline: when this is closed, the kernel kills the process group.
        folder: its temporary folder.
    """

    process: subprocess.Popen[bytes]
    pidfd: int
    stdout: int
    stderr: int
    lifeline: int
    folder: Path


def launch(spec: ProcessSpec, program: Program, log_stream: str) -> Launched:
    """Starts a worker. To be called in the main thread: the kernel takes the end of the calling thread for the daemon's.

    Raises OSError; then nothing is left behind.
    """
    with ExitStack() as ours, ExitStack() as theirs:
        folder = Path(tempfile.mkdtemp(prefix="poller-"))
        ours.callback(folder.rmdir)  # nobody has had the time to put anything into it
        stdout, far_stdout = _pipe(ours, theirs)
        stderr, far_stderr = _pipe(ours, theirs)
        far_lifeline, lifeline = _pipe(theirs, ours)
        process = subprocess.Popen(  # noqa: S603 - what to run is the configuration's to say
            program.command,
            stdin=subprocess.DEVNULL,
            stdout=far_stdout,
            stderr=far_stderr,
            pass_fds=(*program.descriptors, far_lifeline),
            cwd=spec.code,
            env={**environment(spec, os.environ, folder, log_stream), **program.variables},
            start_new_session=True,
        )
        ours.callback(process.wait)
        ours.callback(process.kill)
        _kill_when_broken(far_lifeline, process.pid)
        if not program.limited:
            _limit(process.pid)
        pidfd = os.pidfd_open(process.pid)
        ours.pop_all()
    return Launched(process=process, pidfd=pidfd, stdout=stdout, stderr=stderr, lifeline=lifeline, folder=folder)


def _limit(process: int) -> None:
    """As many open files as on Lambda, until it raises that limit itself, and no core dumps. The program has hardly begun."""
    with suppress(ProcessLookupError):
        hard = resource.prlimit(process, resource.RLIMIT_NOFILE)[1]
        soft = worker.OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, worker.OPEN_FILES)
        resource.prlimit(process, resource.RLIMIT_NOFILE, (soft, hard))
        resource.prlimit(process, resource.RLIMIT_CORE, (0, 0))


def environment(spec: ProcessSpec, daemon: Mapping[str, str], folder: Path, log_stream: str) -> dict[str, str]:
    """The whole environment of a function. `daemon` is the daemon's own, of which next to nothing is handed on."""
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        **{name: value for name, value in daemon.items() if name in PASSED_ON or name.startswith(PASSED_ON_PREFIX)},
        **_credentials(spec.credentials, daemon, folder),
        **_region(spec.arn),
        "TZ": "UTC",
        "TMPDIR": str(folder),
        **spec.environment,
        **_reserved(spec, log_stream),
    }


def _credentials(wanted: str, daemon: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Variables that AWS SDKs take credentials from, or that keep them from taking the daemon's."""
    if wanted == "inherit":
        return {name: value for name, value in daemon.items() if _is_credential(name)}
    none = {"HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true"}  # both lead to the daemon's credentials
    if wanted == "none":
        return none
    return {**none, "AWS_PROFILE": wanted, **{name: _located(name, daemon) for name in PROFILE_FILES}}


def _is_credential(name: str) -> bool:
    return name == "HOME" or (name.startswith(CREDENTIALS_PREFIX) and not name.startswith(OWN_PREFIXES))


def _located(name: str, daemon: Mapping[str, str]) -> str:
    """Where a file of profiles is, for a process with another home and another current directory."""
    path, home = daemon.get(name) or PROFILE_FILES[name], daemon.get("HOME") or str(Path.home())
    return str(Path.cwd() / (home + path[1:] if path.startswith("~/") else path))


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
        "AWS_LAMBDA_INITIALIZATION_TYPE": spec.initialization,
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
