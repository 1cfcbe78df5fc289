"""The node's branch of each control group hierarchy of this machine, of the first or the second version.

    <hierarchy>/<mark>/system    the node's own parts
    <hierarchy>/<mark>/kubepods  the pods, made by the kubelet

A process in there is the node's and nobody else's, which is how it is found after a crash.
"""

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SYSTEM: Final = "system"

_MOUNTS: Final = Path("/proc/self/mounts")
_REMOVED_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.02
_INHERITED: Final = ("cpuset.cpus", "cpuset.mems")
"""Empty in a new group of the first version, which nobody can then join."""


def hierarchies(mounts: Path = _MOUNTS) -> list[Path]:
    """Return where this machine has its control groups: one folder, or one for each controller.

    Args:
        mounts: the table of what is mounted.
    """
    found = []
    for line in mounts.read_text(encoding="utf-8").splitlines():
        _, target, kind, *_ = line.split(" ")
        if kind in ("cgroup", "cgroup2"):
            found.append(Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), target)))
    return sorted(dict.fromkeys(found))


def make(mark: str) -> None:
    """Make the node's branches. Those that are there stay.

    Args:
        mark: the node's.

    Raises:
        OSError: the machine forbids it.
    """
    for hierarchy in hierarchies():
        _offer_controllers(hierarchy)
        for path in (hierarchy / mark, hierarchy / mark / SYSTEM):
            path.mkdir(exist_ok=True)
            for name in _INHERITED:
                if (path.parent / name).exists() and not (path / name).read_text().strip():
                    (path / name).write_text((path.parent / name).read_text())


def join(mark: str, pid: int) -> None:
    """Count a process, and all that it will start, as the node's.

    Args:
        mark: the node's.
        pid: the process.

    Raises:
        OSError: the machine forbids it.
    """
    for hierarchy in hierarchies():
        (hierarchy / mark / SYSTEM / "cgroup.procs").write_text(f"{pid}\n")


def members(mark: str) -> set[int]:
    """Return the numbers of all of the node's processes, and of its pods'.

    Args:
        mark: the node's.
    """
    found = set()
    for hierarchy in hierarchies():
        for group in _groups(hierarchy / mark):
            with contextlib.suppress(OSError):
                found |= {int(line) for line in (group / "cgroup.procs").read_text().split()}
    return found


def present(mark: str) -> list[Path]:
    """Return the node's branches that there are.

    Args:
        mark: the node's.
    """
    return [path for hierarchy in hierarchies() if (path := hierarchy / mark).exists()]


def remove(mark: str) -> list[Path]:
    """End what is left in the node's branches, and remove them.

    Args:
        mark: the node's.

    Returns:
        The branches that could not be removed.
    """
    deadline = time.monotonic() + _REMOVED_SECONDS
    while present(mark) and time.monotonic() < deadline:
        for pid in members(mark) - {os.getpid(), 0}:  # 0: a process that this process can't see
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for branch in present(mark):
            for group in reversed(list(_groups(branch))):
                with contextlib.suppress(OSError):
                    group.rmdir()
        if present(mark):
            time.sleep(_POLL_SECONDS)
    return present(mark)


def _groups(branch: Path) -> Iterator[Path]:
    """A branch and every group below, each before what is in it."""
    if branch.is_dir():
        yield branch
        for root, folders, _ in os.walk(branch):
            folders.sort()
            yield from (Path(root) / name for name in folders)


def _offer_controllers(hierarchy: Path) -> None:
    """In the second version, a group has a controller only if the one above offers it."""
    offered = hierarchy / "cgroup.controllers"
    if offered.exists():
        for name in offered.read_text().split():
            with contextlib.suppress(OSError):
                (hierarchy / "cgroup.subtree_control").write_text(f"+{name}")
