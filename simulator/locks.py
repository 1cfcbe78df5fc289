"""One at a time: two commands that would make the same thing wait for each other."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simulator.progress import Progress


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
