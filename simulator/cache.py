"""What is kept between runs, outside the tree: built programs, root filesystems, packages.

${FIXIA_CACHE:-${XDG_CACHE_HOME:-~/.cache}/fixia}/
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from simulator import processes
from simulator.faults import Fault

WORK: Final = "work-"
ELSEWHERE: Final = ", or name another folder: FIXIA_CACHE=/path"


def root() -> Path:
    """Return the cache's folder; it need not exist.

    Raises:
        Fault: there is no home directory to put it in.
    """
    try:
        given = os.environ.get("FIXIA_CACHE") or (
            Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fixia"
        )
    except RuntimeError as error:
        raise Fault(
            where="HOME",
            found="this user has no home directory",
            valid="a folder for what is built once and kept",
            do="set FIXIA_CACHE",
        ) from error
    return Path(given).expanduser().absolute()


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Give a new folder inside a kept one and remove it however the body ends.

    Args:
        folder: held by this run alone: any scratch folder in it belongs to a run that was killed, and is
            removed too.

    Yields:
        The new folder, on the same disk as what is kept.
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
