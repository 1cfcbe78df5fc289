"""The folder that keeps the engine between runs.

${FIXIA_CACHE:-${XDG_CACHE_HOME:-~/.cache}/fixia}/engine/v<release>/
    pulumi      the engine; appears there whole, by a rename
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

from semver import VersionInfo

from simulator import disk, locks, processes
from simulator.faults import Fault
from simulator.progress import Progress

SUBJECT: Final = "engine"
WORK: Final = "work-"
BUILD_BYTES: Final = 4 * 10**9
NEED: Final = "4 GB free while the engine is built, 120 MB afterwards"
ELSEWHERE: Final = ", or name another folder: FIXIA_CACHE=/path"


def home(version: VersionInfo) -> Path:
    """Return the folder of one release; it need not exist.

    Args:
        version: the release.

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
            valid="a folder for the engine",
            do="set FIXIA_CACHE",
        ) from error
    return root.expanduser().absolute() / "engine" / f"v{version}"


@contextmanager
def workspace(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold a release's folder alone; what the file system refuses inside becomes a fault.

    Args:
        folder: the release's folder; made when missing.
        progress: where waiting for another run is told.

    Raises:
        Fault: the folder can't be made or written, or its disk is full.
    """
    with disk.faults(folder, need=NEED, do=ELSEWHERE):
        folder.mkdir(parents=True, exist_ok=True)
        with locks.exclusive(folder / "lock", progress, SUBJECT):
            yield


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Give a new folder inside a release's folder and remove it however the body ends.

    Args:
        folder: the release's folder, held by `workspace`: any scratch folder in it belongs to a run that was
            killed, and is removed too.

    Yields:
        The new folder, on the same disk as the engine's place.
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
