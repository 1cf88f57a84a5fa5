"""A handler that goes wrong in whatever way the event asks for."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Fault = Callable[[dict[str, Any]], Any]

FAULTS: dict[str, Fault] = {}


def handler(event: dict[str, Any], context: Any) -> Any:
    return FAULTS[event["fault"]](event)


def fault(function: Fault) -> Fault:
    FAULTS[function.__name__] = function
    return function


@fault
def none(event: dict[str, Any]) -> Any:
    return os.getpid()


@fault
def exits(event: dict[str, Any]) -> Any:
    sys.exit(event["status"])


@fault
def ends_at_once(event: dict[str, Any]) -> Any:
    os._exit(event["status"])


@fault
def interrupts_itself(event: dict[str, Any]) -> Any:
    raise KeyboardInterrupt


@fault
def kills_itself(event: dict[str, Any]) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


@fault
def segfaults(event: dict[str, Any]) -> Any:
    ctypes.string_at(0)


@fault
def hangs(event: dict[str, Any]) -> Any:
    while True:
        pass


@fault
def ignores_sigterm(event: dict[str, Any]) -> Any:
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    forever()


@fault
def forks_and_hangs(event: dict[str, Any]) -> Any:
    if os.fork() == 0:
        ignores_sigterm(event)
    sleeps_in_a_child(event)
    forever()


@fault
def forks_and_returns(event: dict[str, Any]) -> Any:
    if os.fork() == 0:
        ignores_sigterm(event)
    sleeps_in_a_child(event)
    return "parent"


@fault
def forks_and_ends(event: dict[str, Any]) -> Any:
    if os.fork() == 0:
        forever()
    os._exit(1)


@fault
def returns_twice(event: dict[str, Any]) -> Any:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    return "parent" if child else "child"


def sleeps_in_a_child(event: dict[str, Any]) -> Any:
    subprocess.Popen(["sleep", "600"])


@fault
def closes_everything(event: dict[str, Any]) -> Any:
    os.closerange(3, 1000)
    forever()


@fault
def closes_everything_and_returns(event: dict[str, Any]) -> Any:
    os.closerange(3, 1000)


@fault
def sends_junk(event: dict[str, Any]) -> Any:
    os.write(int(sys.argv[1]), b"HTTP/1.1 200 OK\r\n\r\n, or what is it that you expect?")
    forever()


@fault
def answers_twice(event: dict[str, Any]) -> Any:
    worker = sys.modules["__main__"]
    answer = b'"first"'
    os.write(int(sys.argv[1]), worker.REPLY.pack(len(answer), event["sequence"], b"R", 0.0, 0) + answer)
    return "second"


@fault
def floods_stdout(event: dict[str, Any]) -> Any:
    line = b"x" * 1023 + b"\n"
    for _ in range(event["bytes"] // (64 * 1024)):
        os.write(1, line * 64)
    return "flooded"


@fault
def floods_stdout_without_a_newline(event: dict[str, Any]) -> Any:
    for _ in range(event["bytes"] // (64 * 1024)):
        os.write(1, b"x" * 64 * 1024)
    return "flooded"


@fault
def answers_seven_megabytes(event: dict[str, Any]) -> Any:
    return "x" * 7_000_000


@fault
def raises_seven_megabytes(event: dict[str, Any]) -> Any:
    raise ValueError("x" * 7_000_000)


@fault
def dies_later(event: dict[str, Any]) -> Any:
    threading.Timer(0.02, os._exit, (5,)).start()


@fault
def litters(event: dict[str, Any]) -> Any:
    for depth in range(3):
        folder = os.path.join(os.environ["TMPDIR"], *["d"] * (depth + 1))
        os.mkdir(folder)
        with open(os.path.join(folder, "f"), "w", encoding="utf-8") as file:
            file.write("x")
    return os.environ["TMPDIR"]


@fault
def reads_stdin(event: dict[str, Any]) -> Any:
    return sys.stdin.read()


@fault
def speaks(event: dict[str, Any]) -> Any:
    print("printed")
    print("to stderr", file=sys.stderr)
    logging.getLogger("mine").error("logged %d", 1)
    subprocess.run(["echo", "from a child"], check=True)
    print("without an end", end="")
    return None


@fault
def environment(event: dict[str, Any]) -> Any:
    return {"environ": dict(os.environ), "folder": os.getcwd(), "path": sys.path[0], "descriptors": sorted(os.listdir("/proc/self/fd"))}


def forever() -> None:
    while True:
        time.sleep(60)
