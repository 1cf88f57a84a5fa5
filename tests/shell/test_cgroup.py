"""Control groups, on a folder that looks like what the kernel shows. No kernel takes part: what it would do is not tested."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from support.pools import Scale

from poller.executors.cgroup import DELEGATED, count, delegated, own_group
from poller.executors.memory import MemoryWatch, killed_for_memory

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = "system.slice/poller.service"


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """A unit with `Delegate=memory` and `DelegateSubgroup=daemon`, in a tree of its own."""
    root = tmp_path / "cgroup"
    own = root / SERVICE / "daemon"
    own.mkdir(parents=True)
    for folder in (root, root / SERVICE, own):
        (folder / "cgroup.controllers").write_text("cpu memory pids\n")
        (folder / "cgroup.subtree_control").write_text("")
        (folder / "cgroup.procs").write_text("")
    (own / "cgroup.procs").write_text("4711\n")
    (tmp_path / "membership").write_text(f"0::/{SERVICE}/daemon\n")
    try:
        os.setxattr(root / SERVICE, DELEGATED, b"1")
    except OSError:
        pytest.skip("the file system of temporary files has no extended attributes")
    return tmp_path


def find(kernel: Path) -> object:
    return delegated(kernel / "cgroup", kernel / "membership")


def test_a_worker_gets_a_group_with_its_limit_beside_ours_and_it_goes_with_the_worker(kernel: Path) -> None:
    groups = delegated(kernel / "cgroup", kernel / "membership")
    assert groups is not None
    assert (kernel / "cgroup" / SERVICE / "cgroup.subtree_control").read_text() == "+memory"
    group = groups.make(123, 128 * 1024 * 1024)
    assert group is not None
    folder = kernel / "cgroup" / SERVICE / "worker-123"
    assert {each.name: each.read_text() for each in folder.iterdir()} == {
        "memory.max": "134217728",
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "cgroup.procs": "123",
    }
    assert group.kills() == 0
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 31\noom 1\noom_kill 2\noom_group_kill 1\n")
    assert group.kills() == 2
    for each in folder.iterdir():  # the kernel's files need no removing
        each.unlink()
    group.remove()
    assert not folder.exists()
    group.remove()


def test_what_systemd_has_not_handed_over_is_left_alone(kernel: Path) -> None:
    os.removexattr(kernel / "cgroup" / SERVICE, DELEGATED)
    assert find(kernel) is None
    assert (kernel / "cgroup" / SERVICE / "cgroup.subtree_control").read_text() == ""


def test_nothing_is_done_where_processes_are_in_the_group_above(kernel: Path) -> None:
    (kernel / "cgroup" / SERVICE / "cgroup.procs").write_text("12\n")
    assert find(kernel) is None


def test_nothing_is_done_without_the_controller(kernel: Path) -> None:
    (kernel / "cgroup" / SERVICE / "cgroup.controllers").write_text("cpu pids\n")
    assert find(kernel) is None


@pytest.mark.parametrize("membership", ["0::/\n", "4:memory:/a\n1:cpu:/\n", ""])
def test_nothing_is_done_at_the_root_or_without_version_2(kernel: Path, membership: str) -> None:
    (kernel / "membership").write_text(membership)
    assert find(kernel) is None


def test_a_worker_whose_group_cannot_be_made_is_looked_after_without_one(kernel: Path) -> None:
    groups = delegated(kernel / "cgroup", kernel / "membership")
    assert groups is not None
    (kernel / "cgroup" / SERVICE / "worker-5").write_text("in the way")
    assert groups.make(5, 1) is None


def test_our_own_group_is_found_and_its_figures_are_read(kernel: Path) -> None:
    own = own_group(kernel / "cgroup", kernel / "membership")
    assert own == kernel / "cgroup" / SERVICE / "daemon"
    assert count(own / "memory.events", "oom_kill") == 0
    (own / "memory.events").write_text("oom 3\noom_kill 1\n")
    assert count(own / "memory.events", "oom_kill") == 1
    with suppress(FileNotFoundError):
        (own / "memory.events").unlink()
    assert count(own / "memory.events", "oom_kill") == 0


def test_a_worker_whose_group_the_kernel_has_killed_was_out_of_memory(kernel: Path) -> None:
    watch = MemoryWatch(Scale().measure, delegated(kernel / "cgroup", kernel / "membership"))
    watched = watch.enter(77, 1024, lambda _: None)
    folder = kernel / "cgroup" / SERVICE / "worker-77"
    assert (folder / "memory.max").read_text() == "1024"
    assert not killed_for_memory(watched)
    (folder / "memory.events").write_text("oom_kill 1\n")
    assert killed_for_memory(watched)
    for each in folder.iterdir():
        each.unlink()
    watch.leave(watched)
    assert not folder.exists()
