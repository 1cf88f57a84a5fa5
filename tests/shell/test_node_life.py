from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from support.noding import MEMORY_SIZE, NodeFunction

from poller.testing.executors import SOON, returned

TESTS = Path(__file__).parent.parent

DAEMON = """
import asyncio, sys
from pathlib import Path
from support.noding import NodeFunction

async def main(folder, code):
    async with NodeFunction(Path(folder), code) as function:
        await function()

asyncio.run(main(*sys.argv[1:]))
"""

STUBBORN = """
import { spawn } from "node:child_process";
import { renameSync, writeFileSync } from "node:fs";

process.on("SIGTERM", () => {});
export const handler = async () => {
  const child = spawn("sleep", ["600"], { stdio: "ignore" });
  writeFileSync("new", `${process.pid} ${child.pid}`);
  renameSync("new", "pids");
  await new Promise((done) => setTimeout(done, 600_000));
};
"""


def test_a_worker_and_its_children_end_with_a_daemon_that_is_killed(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "TMPDIR": str(tmp_path)}
    with ExitStack() as stack:
        daemon = subprocess.Popen([sys.executable, "-c", DAEMON, str(tmp_path / "code"), STUBBORN], env=environment)
        stack.callback(daemon.wait)
        stack.callback(daemon.kill)
        processes = [os.pidfd_open(pid) for pid in pids_in(tmp_path / "code" / "pids")]
        for process in processes:
            stack.callback(os.close, process)
        daemon.kill()
        for process in processes:
            assert select.select([process], [], [], SOON)[0]
    assert len(processes) == 2


async def test_nodes_heap_is_as_large_as_memory_size_allows(tmp_path: Path) -> None:
    code = "import v8 from 'node:v8'; export const handler = async () => v8.getHeapStatistics().heap_size_limit;"
    async with NodeFunction(tmp_path, code) as function:
        limit = returned(await function())
    assert 0.9 * MEMORY_SIZE * 1e6 < limit < 1.5 * MEMORY_SIZE * 1e6


def pids_in(file: Path) -> list[int]:
    until = time.monotonic() + SOON
    while not file.exists():
        assert time.monotonic() < until, file
        time.sleep(0.01)
    return [int(pid) for pid in file.read_text().split()]
