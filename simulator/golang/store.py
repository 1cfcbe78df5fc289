"""The folder that keeps built programs between runs.

${FIXIA_CACHE:-${XDG_CACHE_HOME:-~/.cache}/fixia}/<subject>/v<release>/
    <name>      the program; appears there whole, by a rename
    lock        held by the run that makes it
    work-*/     that run's gigabytes: module cache, build cache, toolchain; gone when it ends
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simulator import cache, disk, locks
from simulator.golang.program import Program
from simulator.progress import Progress


def home(program: Program) -> Path:
    """Return the folder of the program's pinned release; it need not exist.

    Args:
        program: whose.

    Raises:
        Fault: there is no home directory to put it in.
    """
    return cache.root() / program.subject / f"v{program.version}"


@contextmanager
def workspace(program: Program, progress: Progress) -> Iterator[Path]:
    """Hold a release's folder alone; what the file system refuses inside becomes a fault.

    Args:
        program: whose release; its folder is made when missing.
        progress: where waiting for another run is told.

    Yields:
        The folder.

    Raises:
        Fault: the folder can't be made or written, or its disk is full.
    """
    folder = home(program)
    with disk.faults(folder, need=program.need, do=cache.ELSEWHERE):
        folder.mkdir(parents=True, exist_ok=True)
        with locks.exclusive(folder / "lock", progress, program.subject):
            yield folder
