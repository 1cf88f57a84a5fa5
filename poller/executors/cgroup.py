"""Control groups, version 2: where ours has been handed over to us, the kernel holds each worker to its memory by itself.

That is so under systemd with `Delegate=memory` and `DelegateSubgroup=` (systemd 254): we run in a group below our unit's, which
is otherwise empty, and whose other children are ours to make. Everywhere else nothing here does anything: memory is sampled, as
it is there too.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
DELEGATED = "user.delegate"
"""The extended attribute by which systemd says that a group is somebody else's to manage."""

PREFIX = "worker-"


class Group:
    """A worker's own control group."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def kills(self) -> int:
        """How many of its processes the kernel has killed for want of memory."""
        return count(self._folder / "memory.events", "oom_kill")

    def remove(self) -> None:
        """Removes it, if it is empty; what is not goes with the unit."""
        with suppress(OSError):
            self._folder.rmdir()


class Groups:
    """Makes control groups for workers below a folder that has been handed over to us."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, process: int, limit: int) -> Group | None:
        """A group with this process, and all that it will start, in it, and so many bytes for all; None where that fails.

        To be called before the process has had the time to start others.
        """
        folder = self._folder / f"{PREFIX}{process}"
        try:
            folder.mkdir(exist_ok=True)
            (folder / "memory.max").write_text(str(limit))
            with suppress(OSError):  # without swap; an old kernel
                (folder / "memory.swap.max").write_text("0")
                (folder / "memory.oom.group").write_text("1")
            (folder / "cgroup.procs").write_text(str(process))
        except OSError:
            Group(folder).remove()
            return None
        return Group(folder)


def delegated(root: Path = ROOT, membership: Path = MEMBERSHIP) -> Groups | None:
    """Where workers' groups may be made; None where that is not for us to do."""
    own = own_group(root, membership)
    if own is None or own == root:
        return None
    folder = own.parent
    try:
        ours = os.getxattr(folder, DELEGATED) == b"1" and not (folder / "cgroup.procs").read_text().split()
        if not ours or "memory" not in (folder / "cgroup.controllers").read_text().split():
            return None
        (folder / "cgroup.subtree_control").write_text("+memory")
    except OSError:
        return None
    return Groups(folder)


def own_group(root: Path = ROOT, membership: Path = MEMBERSHIP) -> Path | None:
    """The control group that this process is in; None without version 2."""
    with suppress(OSError):
        for line in membership.read_text().splitlines():
            if line.startswith("0::/") and (root / "cgroup.controllers").exists():
                return root / line.removeprefix("0::/")
    return None


def out_of_memory_kills() -> int:
    """How many processes the kernel has killed in the control group of this one, for want of memory. 0 where it does not say."""
    file = _own_events()
    return 0 if file is None else count(file, "oom_kill")


@cache
def _own_events() -> Path | None:
    own = own_group()
    return None if own is None else own / "memory.events"


def count(file: Path, name: str) -> int:
    """A figure of a file with a name and a figure on each line; 0 where there is none."""
    with suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0
