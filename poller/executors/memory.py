"""How much memory worker processes have, and which have too much: sampled while any of them works.

What counts is what is resident in a worker's process group, its children included. Address space does not count: programs reserve
much that they never use.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter, thread_time
from typing import TYPE_CHECKING

from poller.executors.cgroup import Group, Groups, out_of_memory_kills
from poller.executors.waiting import outlast

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Mapping

MEBIBYTE = 1024 * 1024
KIBIBYTE = 1024
PAGE = os.sysconf("SC_PAGE_SIZE")

INTERVAL = 0.25
"""Seconds between samples: what a program can allocate meanwhile, some hundred megabytes, a machine can bear."""

SHARE = 50
LONGEST_INTERVAL = 2.0
"""A look at a machine with thousands of processes costs much: it may take a fiftieth of a CPU, but one comes every 2 s."""

PEAK_INTERVAL = 1.0
"""Seconds for which the peak of a process counts as known: reading it takes longer than many a handler."""

LONG = 0.1
"""After so many seconds a handler may have had more than was known, and reading it costs little in comparison."""

NEAR = 0.9
"""A worker that somebody else killed while it had so much of its limit, was killed for want of memory."""

GROUP, RESIDENT = 2, 21
"""Fields of /proc/PID/stat, counted from the one after the name: the process group, and pages resident (proc_pid_stat(5))."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Bytes resident by process group, and how many seconds of a CPU it took to find out."""

    sizes: Mapping[int, int]
    seconds: float


@dataclass(slots=True, eq=False, kw_only=True)
class Watched:
    """A worker's process group.

    Attributes:
        group: its number.
        limit: bytes that may be resident.
        over: called on the loop, with the bytes that are, when they are more; may be called again.
        kills: what the kernel had killed in our control group when it was begun.
        cgroup: its own control group, where it has one.
        working: whether it is to be looked at.
        size: bytes when it was last looked at.
        peak: the most that was seen.
        known_until: when its first process's own peak is to be asked for again, by `perf_counter`.
    """

    group: int
    limit: int
    over: Callable[[int], None]
    kills: int = 0
    cgroup: Group | None = None
    working: bool = False
    size: int = 0
    peak: int = 0
    known_until: float = 0.0


class MemoryWatch:
    """Looks at the memory of all workers of this process with one scan, in a thread, while any of them works.

    `measure` begins a sample of the groups with these limits; the future's result may come in any turn of the loop.
    """

    def __init__(
        self, measure: Callable[[Mapping[int, int]], Future[Sample]] | None = None, groups: Groups | None = None
    ) -> None:
        self._measure = measure or in_a_thread
        self._groups = groups
        self._watched: dict[int, Watched] = {}
        self._worked = False
        self._timer: asyncio.TimerHandle | None = None
        self._running: Future[Sample] | None = None

    def enter(self, group: int, limit: int, over: Callable[[int], None]) -> Watched:
        """A worker's process group, just begun. Where we may, the kernel is told its limit as well."""
        cgroup = self._groups.make(group, limit) if self._groups is not None else None
        watched = Watched(group=group, limit=limit, over=over, kills=out_of_memory_kills(), cgroup=cgroup)
        self._watched[group] = watched
        return watched

    def leave(self, watched: Watched) -> None:
        """The group is dead."""
        self._watched.pop(watched.group, None)
        if watched.cgroup is not None:
            watched.cgroup.remove()
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def work(self, watched: Watched) -> None:
        """It works from now on."""
        watched.working = self._worked = True
        if self._timer is None and self._running is None:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._look)

    def rest(self, watched: Watched) -> None:
        """It works no more."""
        watched.working = False

    async def settled(self) -> None:
        """Returns when no scan runs, and nothing of one is open."""
        if self._running is not None:
            await outlast(self._running)

    def _look(self) -> None:
        self._timer = None
        if not self._worked and not any(each.working for each in self._watched.values()):
            return
        self._worked = False
        try:
            self._running = self._measure({each.group: each.limit for each in self._watched.values()})
        except RuntimeError:  # the machine has no more threads: functions may use them up
            self._look_again(INTERVAL)
        else:
            self._running.add_done_callback(self._seen)

    def _look_again(self, seconds: float) -> None:
        self._worked = True
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _seen(self, running: Future[Sample]) -> None:
        self._running = None
        if running.cancelled() or not self._watched:
            return
        if isinstance(running.exception(), OSError):  # no descriptor is left
            self._look_again(INTERVAL)
            return
        sample = running.result()
        pause = min(LONGEST_INTERVAL, max(INTERVAL, SHARE * sample.seconds))
        self._timer = asyncio.get_running_loop().call_later(pause, self._look)
        for group, size in sample.sizes.items():
            watched = self._watched.get(group)
            if watched is not None and size > 0:  # what is dead has nothing, and it matters what it had
                watched.size, watched.peak = size, max(watched.peak, size)
                if size > watched.limit:
                    watched.over(size)


def in_a_thread(limits: Mapping[int, int]) -> Future[Sample]:
    """A sample that keeps nobody waiting."""
    return asyncio.get_running_loop().run_in_executor(None, measure, limits)


def measure(limits: Mapping[int, int]) -> Sample:
    """What is resident in these process groups.

    Where that is above the limit, and the group has several processes, pages that they share count once: a fork begins with all
    the pages of its parent.
    """
    began = thread_time()
    members: dict[int, dict[int, int]] = {group: {} for group in limits}
    for name in os.listdir("/proc"):  # noqa: PTH208 - a name is all that is wanted of thousands
        if name.isdecimal():
            _look_at(int(name), members)
    sizes = {group: sum(processes.values()) for group, processes in members.items()}
    for group, size in sizes.items():
        if size > limits[group] and len(members[group]) > 1:
            sizes[group] = sum(map(proportional, members[group]))
    return Sample(sizes, thread_time() - began)


def _look_at(process: int, members: dict[int, dict[int, int]]) -> None:
    fields = _stat(process)
    if fields and (group := members.get(int(fields[GROUP]))) is not None:
        group[process] = int(fields[RESIDENT]) * PAGE


def _stat(process: int) -> list[bytes]:
    """The fields after the name, counted as `GROUP` is; empty where the process is gone."""
    stat = _read(f"/proc/{process}/stat")
    fields = stat[stat.rfind(b")") + 2 :].split(None, RESIDENT + 1)
    return fields if len(fields) > RESIDENT else []


def proportional(process: int) -> int:
    """Bytes resident, where of a page that n processes share only an n-th counts; all pages, where we may not know.

    0 where it has ended meanwhile: many that come and go must not look like many that stay.
    """
    known = _kibibytes(_read(f"/proc/{process}/smaps_rollup"), b"\nPss:")
    fields = [] if known else _stat(process)
    return int(fields[RESIDENT]) * PAGE if fields else known


def peak_resident(process: int) -> int:
    """The most bytes that a process ever had resident; 0 where that cannot be known."""
    return _kibibytes(_read(f"/proc/{process}/status"), b"\nVmHWM:")


def peak(watched: Watched, worked: float) -> int:
    """The most bytes that the group was seen to have, and its first process by itself; 0 where nothing is known.

    It has just worked for so many seconds.
    """
    if worked >= LONG or perf_counter() >= watched.known_until:
        watched.known_until = perf_counter() + PEAK_INTERVAL
        watched.peak = max(watched.peak, peak_resident(watched.group))
    return watched.peak


def killed_for_memory(watched: Watched) -> bool:
    """Whether a group whose first process was killed by somebody else was so for want of memory, as far as one can tell.

    The kernel says so of our control groups; where it says nothing, a worker near its limit is taken to be.
    """
    if watched.cgroup is not None and watched.cgroup.kills():
        return True
    return watched.size >= NEAR * watched.limit or out_of_memory_kills() > watched.kills


def _kibibytes(text: bytes, name: bytes) -> int:
    """The figure after a name, in bytes; 0 where there is none."""
    words = text.partition(name)[2].split(None, 1)
    return int(words[0]) * KIBIBYTE if words else 0


def _read(path: str) -> bytes:
    """A small file of the kernel's; empty where it is gone, or not ours to read."""
    with suppress(OSError):
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(file, 8192)
        finally:
            os.close(file)
    return b""
