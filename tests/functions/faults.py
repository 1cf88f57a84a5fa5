"""A handler that goes wrong in whatever way the event asks for."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Fault = Callable[[dict[str, Any]], Any]

FAULTS: dict[str, Fault] = {}
WORKER = os.getpid()
KEPT: list[bytearray] = []


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
    ignore_signals()
    os.killpg(0, signal.SIGTERM)
    forever()


@fault
def forks_and_hangs(event: dict[str, Any]) -> Any:
    if os.fork() == 0:
        ignore_signals()
        forever()
    subprocess.Popen(["sleep", "600"])
    forever()


@fault
def forks_and_returns(event: dict[str, Any]) -> Any:
    if os.fork() == 0:
        ignore_signals()
        forever()
    subprocess.Popen(["sleep", "600"])
    return "parent"


@fault
def forks_and_ends(event: dict[str, Any]) -> Any:
    if os.fork() == 0:
        forever()
    os._exit(1)


@fault
def leaves_traces(event: dict[str, Any]) -> Any:
    """Tells in files who it is and what it has started, and never returns; `busy`: to Python neither."""
    folder = Path(event["folder"])
    if os.fork() == 0:
        ignore_signals()
        trace(folder, "fork", event["busy"])
        forever()
    sleep = subprocess.Popen(["sleep", "600"])
    trace(folder, "sleep", event["busy"], sleep.pid)
    trace(folder, "worker", event["busy"])
    if event["busy"]:
        sum(range(10**18))
    forever()


@fault
def meets(event: dict[str, Any]) -> Any:
    """Returns its process once another invocation has come as far; the one that `leaves_last` well after the other."""
    Path(event["mine"]).touch()
    while not Path(event["other"]).exists():
        time.sleep(0.002)
    if event.get("leaves_last"):
        time.sleep(0.2)
    return os.getpid()


@fault
def returns_twice(event: dict[str, Any]) -> Any:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    return "parent" if child else "child"


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
def allocates(event: dict[str, Any]) -> Any:
    """Has so many megabytes, for so long; `kill`: and then kills itself, as the kernel would."""
    hoard = allocated(event["megabytes"])
    time.sleep(event["sleep"])
    if event.get("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    return len(hoard)


@fault
def allocates_in_a_child(event: dict[str, Any]) -> Any:
    child = os.fork()
    if child == 0:
        allocates(event)
        os._exit(0)
    os.waitpid(child, 0)
    return "parent"


@fault
def forks_with_shared_pages(event: dict[str, Any]) -> Any:
    """Three children with all that their parent has, which nobody writes to."""
    hoard = allocated(event["megabytes"])
    children = [os.fork() for _ in range(3) if os.getpid() == WORKER]
    time.sleep(event["sleep"])
    if os.getpid() != WORKER:
        os._exit(0)
    for child in children:
        os.waitpid(child, 0)
    return len(hoard)


@fault
def keeps(event: dict[str, Any]) -> Any:
    """Leaks: how often so far."""
    KEPT.append(allocated(event["megabytes"]))
    return len(KEPT)


@fault
def ignores_sigterm_and_returns(event: dict[str, Any]) -> Any:
    ignore_signals()
    if os.fork() == 0:
        forever()
    return os.getpid()


@fault
def ends_in_peace(event: dict[str, Any]) -> Any:
    """Says in a file that it was asked to end, and ends."""

    def end(*_: object) -> None:
        Path(event["file"]).write_text("asked")
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    return os.getpid()


@fault
def litters(event: dict[str, Any]) -> Any:
    folder = Path(os.environ["TMPDIR"]) / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "litter").write_text("x")
    return str(folder)


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
    return {
        "environ": dict(os.environ),
        "folder": str(Path.cwd()),
        "path": sys.path[0],
        "descriptors": descriptors(),
    }


def descriptors() -> list[str]:
    """What this process has open, in order of their numbers."""
    found = []
    for number in range(100):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{number}"))  # noqa: PTH115 - Python 3.8 runs this too
    return found


def trace(folder: Path, who: str, busy: object, pid: int | None = None) -> None:
    unfinished = folder / f"{who}-{busy}.new"
    unfinished.write_text(str(pid or os.getpid()))
    unfinished.rename(folder / f"{who}-{busy}")


def allocated(megabytes: int) -> bytearray:
    """Memory that is really there: zeros would take none before they are written to."""
    return bytearray(b"x" * 1024 * 1024) * megabytes


def ignore_signals() -> None:
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)


def forever() -> None:
    while True:
        time.sleep(60)
