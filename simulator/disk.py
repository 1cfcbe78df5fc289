"""What the file system refuses, said as faults."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from simulator.faults import Fault

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_NEXT_TO_NOTHING: Final = 50 * 10**6


def full(place: Path, *, need: str, do: str) -> Fault:
    """Return the fault of a disk that is full.

    Args:
        place: a path on that disk.
        need: how much has to be free, and for what.
        do: another place, when there may be one.
    """
    return Fault(
        where=str(place), found="the disk is full", valid=need, do=f"free some space{do}; df -h shows where"
    )


def is_full(place: Path) -> bool:
    """Tell whether a failure there may be for want of space, when the program that failed does not say why.

    Args:
        place: a path on the disk; it need not exist.
    """
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free < _NEXT_TO_NOTHING


def require(place: Path, size: int, *, need: str, do: str) -> None:
    """Refuse work that the disk has no room for before it begins.

    Args:
        place: an existing folder on the disk.
        size: bytes needed.
        need: the same for people.
        do: another place, when there may be one.

    Raises:
        Fault: less is free.
    """
    free = shutil.disk_usage(place).free
    if free < size:
        raise Fault(
            where=str(place),
            found=f"the disk has {free / 1e9:.1f} GB free",
            valid=need,
            do=f"free some space{do}; df -h shows where",
        )


@contextmanager
def faults(place: Path, *, need: str, do: str) -> Iterator[None]:
    """Turn the file system's refusals inside the body into faults.

    Args:
        place: the folder the body works in.
        need: how much has to be free there, and for what.
        do: another place, when there may be one.

    Raises:
        Fault: the disk is full, or the folder can't be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise full(place, need=need, do=do) from error
        raise Fault(
            where=str(error.filename or place),
            found=f"can't be used: {error.strerror or error}",
            valid="a folder that this user may write",
            do=f"give yourself the right to it{do}",
        ) from error
