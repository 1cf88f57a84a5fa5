"""How much of the machine this process may use: what the default concurrency of a function depends on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

MEGABYTE: Final = 1024 * 1024
FEWEST_WORKERS: Final = 2
_CGROUP: Final = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """CPUs that this process may run on, and bytes of memory that it may use."""

    cpus: int
    memory: int

    def workers(self, memory_size: int) -> int:
        """How many processes of `memory_size` MB at once: two a CPU, as far as memory goes, but two at least."""
        return max(FEWEST_WORKERS, min(2 * self.cpus, self.memory // (memory_size * MEGABYTE)))


@cache
def this_machine() -> Machine:
    """This process's share, limits of its control group (a container's) included; looked at once."""
    cpus, memory = len(os.sched_getaffinity(0)), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    quota, period = (_limits("cpu.max") or ["max"])[0], (_limits("cpu.max") or ["", "100000"])[-1]
    if quota.isdecimal():
        cpus = max(1, min(cpus, round(int(quota) / int(period))))
    limit = (_limits("memory.max") or ["max"])[0]
    return Machine(cpus=cpus, memory=min(memory, int(limit)) if limit.isdecimal() else memory)


def _limits(name: str) -> list[str]:
    """The words of a file of the control group (version 2); none where there is no such file."""
    try:
        return (_CGROUP / name).read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []
