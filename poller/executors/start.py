"""Starts a worker of a function: which program that is, and how the daemon talks with it."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from poller.executors import ric, worker
from poller.executors.channel import Channel
from poller.executors.child import Child
from poller.executors.launch import Program, launch
from poller.executors.runtime_api import RuntimeApi
from poller.executors.runtime_listener import listen

if TYPE_CHECKING:
    from poller.executors.child import Keeper
    from poller.executors.launch import ProcessSpec
    from poller.executors.paced import Printed

NODE_SCRIPT = Path(__file__).parent / "node" / "runtime.mjs"
AWS_LAMBDA_RIC = Path("node_modules", "aws-lambda-ric")


def start(spec: ProcessSpec, log_stream: str, events: Printed, keeper: Keeper) -> Child:
    """Starts a worker, whose first reply says whether it is ready. To be called in the main thread (see `launch`).

    Raises OSError, where there is no such program or no room for it, and ValueError for an environment that no process can
    have; then nothing is left behind.
    """
    if spec.runtime == "python" and spec.runtime_client == "light":
        return _over_a_pair_of_sockets(spec, log_stream, events, keeper)
    return _over_the_runtime_api(spec, log_stream, events, keeper)


def _over_a_pair_of_sockets(spec: ProcessSpec, log_stream: str, events: Printed, keeper: Keeper) -> Child:
    with ExitStack() as ours:
        near, far = socket.socketpair()
        ours.enter_context(near)
        near.settimeout(0)
        with far:
            command = (spec.python or sys.executable, worker.__file__, str(far.fileno()))
            launched = launch(spec, Program(command=command, descriptors=(far.fileno(),), limited=True), log_stream)
        ours.pop_all()
    return Child(launched, lambda child: Channel(near, child.received, child.broken), events, keeper)


def _over_the_runtime_api(spec: ProcessSpec, log_stream: str, events: Printed, keeper: Keeper) -> Child:
    with ExitStack() as ours:
        listener = ours.enter_context(listen())
        address = "{}:{}".format(*listener.getsockname())
        launched = launch(spec, Program(command=command(spec), variables={"AWS_LAMBDA_RUNTIME_API": address}), log_stream)
        ours.pop_all()
    return Child(launched, lambda child: RuntimeApi(listener, child), events, keeper)


def command(spec: ProcessSpec) -> tuple[str, ...]:
    """The program that asks the Runtime API for invocations, and its arguments. Raises OSError where there is none."""
    match spec.runtime:
        case "python":
            return (spec.python or sys.executable, ric.__file__, spec.handler)
        case "nodejs":
            node = (spec.node or "node", *_heap(spec.memory_size))
            if spec.runtime_client == "light":
                return (*node, str(NODE_SCRIPT))
            return (*node, str(_aws_lambda_ric(spec.code.resolve())), spec.handler)
        case "provided":
            return (str(_bootstrap(spec.code.resolve())),)
    assert_never(spec.runtime)


def _heap(memory_size: int) -> tuple[str, ...]:
    """The shares that Node's heap has on Lambda. By itself it would go by the memory of the machine, and tidy up too late."""
    return (f"--max-semi-space-size={max(1, memory_size // 20)}", f"--max-old-space-size={max(1, memory_size * 9 // 10)}")


def _bootstrap(code: Path) -> Path:
    bootstrap = code / "bootstrap"
    if not bootstrap.is_file():
        raise FileNotFoundError(errno.ENOENT, "There is no program of that name", str(bootstrap))
    if not os.access(bootstrap, os.X_OK):
        raise PermissionError(errno.EACCES, "This is not executable (chmod +x)", str(bootstrap))
    return bootstrap


def _aws_lambda_ric(code: Path) -> Path:
    """The program of the package aws-lambda-ric, found as Node finds packages: in `node_modules` here or further up."""
    for folder in (code, *code.parents):
        package = folder / AWS_LAMBDA_RIC
        if package.is_dir():
            return package / _program_of(package)
    raise FileNotFoundError(errno.ENOENT, "The package is not installed (npm install aws-lambda-ric)", str(code / AWS_LAMBDA_RIC))


def _program_of(package: Path) -> str:
    """What its `package.json` says. Raises OSError."""
    description = package / "package.json"
    try:
        programs = json.loads(description.read_bytes())["bin"]
        return str(programs if isinstance(programs, str) else programs[package.name])
    except (ValueError, KeyError, TypeError) as error:
        raise OSError(errno.EINVAL, "It does not say which program it has", str(description)) from error
