"""Other processes that work on a store's file: a test file run as a script.

Such a file ends with `if __name__ == "__main__": run_child(...)`. The other process does what its first argument names, says so
on its standard output, and waits for a line where it has to.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    Child = Callable[[Path], Coroutine[None, None, None]]


@contextmanager
def other_process(does: Child, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that does this to the file at `path`; killed with -9 at the end if it still runs."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, does.__code__.co_filename, does.__name__, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment) as child:
        try:
            yield child
        finally:
            child.kill()


def line(child: subprocess.Popen[str]) -> str:
    """The next line that it says."""
    assert child.stdout is not None
    assert child.stderr is not None
    said = child.stdout.readline()
    assert said, f"the other process ended: {child.stderr.read()}"
    return said.strip()


def kill(child: subprocess.Popen[str]) -> list[str]:
    """Kills it with -9. The whole lines that it had said and nobody had read."""
    assert child.stdout is not None
    child.kill()
    return [said.strip() for said in child.stdout if said.endswith("\n")]


def tell(child: subprocess.Popen[str], word: str = "go") -> None:
    """Lets it go on."""
    assert child.stdin is not None
    child.stdin.write(f"{word}\n")
    child.stdin.flush()


def does_it(does: Child, path: Path) -> None:
    """The other process does it to the end, without complaint."""
    with other_process(does, path) as child:
        _, complaint = child.communicate(timeout=60)
        assert child.returncode == 0, complaint


def run_child(*children: Child) -> None:
    """What the script does when it is the other process."""
    asyncio.run({child.__name__: child for child in children}[sys.argv[1]](Path(sys.argv[2])))
