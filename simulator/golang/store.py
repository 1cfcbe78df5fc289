"""The folder that keeps built programs between runs.

${FIXIA_CACHE:-${XDG_CACHE_HOME:-~/.cache}/fixia}/<subject>/v<release>/
    <name>      the program; appears there whole, by a rename
    lock        held by the run that makes it
    work-*/     that run's gigabytes: module cache, build cache, toolchain; gone when it ends
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from simulator import disk, locks, processes
from simulator.faults import Fault
from simulator.golang.program import Program
from simulator.progress import Progress

WORK: Final = "work-"
ELSEWHERE: Final = ", or name another folder: FIXIA_CACHE=/path"


def home(program: Program) -> Path:
    """Return the folder of the program's pinned release; it need not exist.

    Args:
        program: whose.

    Raises:
        Fault: there is no home directory to put it in.
    """
    environ = os.environ
    try:
        root = (
            Path(environ["FIXIA_CACHE"])
            if environ.get("FIXIA_CACHE")
            else Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fixia"
        )
    except RuntimeError as error:
        raise Fault(
            where="HOME",
            found="this user has no home directory",
            valid=f"a folder for the {program.subject}",
            do="set FIXIA_CACHE",
        ) from error
    return root.expanduser().absolute() / program.subject / f"v{program.version}"


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
    with disk.faults(folder, need=program.need, do=ELSEWHERE):
        folder.mkdir(parents=True, exist_ok=True)
        with locks.exclusive(folder / "lock", progress, program.subject):
            yield folder


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Give a new folder inside a release's folder and remove it however the body ends.

    Args:
        folder: the release's folder, held by `workspace`: any scratch folder in it belongs to a run that was
            killed, and is removed too.

    Yields:
        The new folder, on the same disk as the program's place.
    """
    for stale in folder.glob(f"{WORK}*"):
        _remove(stale)
    work = Path(tempfile.mkdtemp(prefix=WORK, dir=folder))
    try:
        yield work
    finally:
        with processes.uninterrupted():
            _remove(work)


def _remove(work: Path) -> None:
    """Remove a scratch folder even if a program of a killed run still writes into it."""
    # Under a new name nothing that the program knows the old one of gets in any more.
    gone = work.with_name(f"{WORK}gone-{work.name.removeprefix(WORK)}")
    with contextlib.suppress(OSError):
        work = work.rename(gone)
    shutil.rmtree(work, ignore_errors=True)
