"""One at a time: two commands that would make the same thing wait for each other."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from simulator.progress import Progress

PATIENCE_SECONDS: Final = 60.0
"""How long a run that is interrupted may take to tidy up."""

_POLL_SECONDS: Final = 0.1


@contextmanager
def exclusive(path: Path, progress: Progress, subject: str) -> Iterator[None]:
    """Hold a lock file; wait, and say so, while another process holds it.

    The kernel gives the lock back when its holder ends, however it ends. The file itself stays: removing it
    would let a third process lock a new file beside the one that is still waited for.

    Args:
        path: the lock file; its folder exists.
        progress: where the waiting is told.
        subject: what is being waited for, for the progress line.
    """
    import fcntl  # here, because a platform without it must still be able to import us and be told so

    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            with progress.step(subject, f"another run (process {holder}) is at it, waiting for it") as step:
                fcntl.flock(file, fcntl.LOCK_EX)
                step.outcome = "the other run has ended"
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def interrupt(path: Path, progress: Progress, subject: str) -> None:
    """Interrupt whoever of ours holds a lock file, and wait until nobody does, or a minute is over.

    Args:
        path: the lock file; there may be none.
        progress: where it is told.
        subject: what is being ended, for the progress line.
    """
    if not path.exists():
        return
    asked: set[int] = set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (holder := _holder(path)) is not None and time.monotonic() < deadline:
        if holder not in asked and _is_ours(holder):
            asked.add(holder)
            progress.say(subject, f"another run (process {holder}) is at it, and is told to stop")
            with contextlib.suppress(ProcessLookupError):
                os.kill(holder, signal.SIGINT)
        time.sleep(_POLL_SECONDS)


def _holder(path: Path) -> int | None:
    """The process that holds a lock file, 0 if it has not said who it is, None if nobody does."""
    import fcntl  # as above

    try:
        with path.open("r+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                said = file.read().strip()
                return int(said) if said.isdigit() else 0
    except FileNotFoundError:
        pass
    return None


def _is_ours(pid: int) -> bool:
    """Whether a process is a command of ours, and another one than this."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return pid not in (0, os.getpid()) and b"simulator" in words
    return False
