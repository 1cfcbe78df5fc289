"""A server that runs beside us: it writes to a log file, and it ends no later than we do, however we end."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from simulator import disk, processes
from simulator.faults import Fault

PATIENCE_SECONDS: Final = 90.0
"""How long a server may take to begin; on an idle machine it is a tenth of that."""

_POLL_SECONDS: Final = 0.05
_SHOWN_LINES: Final = 12


class Daemon:
    """A running server. Made by `running`."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @property
    def pid(self) -> int:
        """Its process number, which is also that of its process group."""
        return self._process.pid

    def await_ready(self, ready: Callable[[], bool], patience: float = PATIENCE_SECONDS) -> None:
        """Wait until it serves.

        Args:
            ready: asks it; False while it does not answer as it should.
            patience: seconds.

        Raises:
            Fault: it has ended instead, or takes too long; its last lines are in the message.
        """
        deadline = time.monotonic() + patience
        while not ready():
            if self._ended_within(_POLL_SECONDS):
                raise self._fault(f"it ended with exit code {self._process.returncode} instead of serving")
            if time.monotonic() > deadline:
                raise self._fault(f"it did not serve within {patience:.0f} s")

    def tail(self) -> str:
        """Return the last lines of its log, indented to stand under a message."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return processes.Ended(code=0, lines=tuple(lines)).tail(_SHOWN_LINES)

    def kill(self) -> None:
        """End it with its children at once: what it keeps is thrown away, so there is nothing to finish."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of the dead
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _ended_within(self, seconds: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    def _fault(self, problem: str) -> Fault:
        if disk.is_full(self.log):
            return disk.full(self.log, need="1 GB free for the servers' data", do=", or set TMPDIR")
        return Fault(
            where=self.name,
            found=f"{problem}; its last words:\n{self.tail()}",
            valid="a server that begins, on a machine with 2 GB of memory free",
            do="put right what it says; if it was killed or slow, run it on a less busy machine",
        )


@contextmanager
def running(name: str, command: Sequence[str | Path], folder: Path) -> Iterator[Daemon]:
    """Run a server in a process group of its own for as long as the body runs.

    On Linux the kernel ends it when the thread that called this ends, so that not even our own sudden death
    leaves it behind.

    Args:
        name: what it is called in messages; its log is `<name>.log`.
        command: the program and its arguments.
        folder: its working folder, which the log is written to.

    Yields:
        The server, which may not serve yet: see `Daemon.await_ready`.

    Raises:
        Fault: it can't be started.
    """
    log = folder / f"{name}.log"
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*processes.bound_to_us(), *command],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal is ours to act on
            )
    except OSError as error:
        raise Fault(
            where=name,
            found=f"it can't be started: {error.strerror or error}",
            valid=f"a program that runs: {command[0]}",
            do="remove it, and it is made again",
        ) from error
    daemon = Daemon(name, process, log)
    try:
        yield daemon
    finally:
        with processes.uninterrupted():
            daemon.kill()
