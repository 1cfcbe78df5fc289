"""Programs that we start, and how a command of ours ends.

Whatever ends a command (success, a fault, Ctrl-C, SIGTERM) also ends the programs that it started, with
their children. Standard library only: the bootstrap uses it before there is a virtual environment.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from simulator.faults import INTERRUPTED, Fault

KEPT_LINES: Final = 400
"""Of a program's output only the end is of interest, and only when it fails."""

GRACE_SECONDS: Final = 5.0
"""How long a program may take to end by itself before it is killed."""

_REAPED_SECONDS: Final = 1.0

_BROKEN: Final = re.compile(r"after connection broken by '(.*)': /")
"""How pip warns before it tries again."""

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a program ended.

    Attributes:
        code: its exit code; negative when a signal ended it.
        lines: the end of its output, stdout and stderr together.
    """

    code: int
    lines: tuple[str, ...]

    @property
    def disk_full(self) -> bool:
        """Whether the program says that it ran out of disk space."""
        signs = ("no space left on device", "disk quota exceeded")
        return any(sign in line.lower() for line in self.lines for sign in signs)

    def tail(self, count: int = 6) -> str:
        """Return the last lines, indented to stand under a message.

        Args:
            count: at most so many.
        """
        return _indented([line for line in self.lines if line.strip()][-count:])

    def errors(self, count: int = 6) -> str:
        """Return what pip says went wrong, indented likewise; the last lines when it does not say.

        An index that can't be reached, pip mentions in a warning and then blames a conflict of versions.

        Args:
            count: at most so many lines.
        """
        if broken := _BROKEN.search("\n".join(self.lines)):
            return _indented([f"the package index can't be reached: {broken[1].rpartition('>: ')[2]}"])
        starts = [index for index, line in enumerate(self.lines) if line.startswith("ERROR:")]
        return _indented(self.lines[starts[0] :][:count]) if starts else self.tail(count)


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"    {line}" for line in lines or ["(it said nothing)"])


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    on_line: Callable[[str], None] | None = None,
    timeout: float | None = None,
) -> Ended:
    """Run a program to its end, in a process group of its own.

    Args:
        command: the program and its arguments.
        env: its whole environment; ours unless told.
        cwd: its folder; ours unless told.
        on_line: called with each line of its output as it comes, from another thread.
        timeout: seconds after which it is ended.

    Returns:
        Its exit code and last lines.

    Raises:
        OSError: it could not be started.
        subprocess.TimeoutExpired: it took longer than `timeout`.
    """
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    process = subprocess.Popen(
        command,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )

    def read() -> None:
        assert process.stdout is not None  # noqa: S101 - asked for above
        for line in process.stdout:
            lines.append(line.rstrip())
            if on_line:
                on_line(line.rstrip())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        process.wait(timeout)
    finally:
        with uninterrupted():
            _end_group(process)
            reader.join(GRACE_SECONDS)
    return Ended(code=process.returncode, lines=tuple(lines))


def bound_to_us() -> list[str]:
    """Return the command before a command that has the kernel end it with us; there is none but on Linux."""
    program = shutil.which("setpriv") if sys.platform == "linux" else None
    return [program, "--pdeathsig=KILL", "--"] if program else []


def _end_group(process: subprocess.Popen[str]) -> None:
    """End what is left of a program's process group: first asked, then made to."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    # The leader may be gone and have left children behind. They are not ours to wait for, so we look until
    # the group is empty: the caller is about to remove the folder that they write to. Not for ever: without
    # an init process to reap them, dead ones stay in it. macOS answers EPERM for a group of such.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        deadline = time.monotonic() + _REAPED_SECONDS
        while time.monotonic() < deadline:
            os.killpg(process.pid, signal.SIGKILL)
            process.poll()
            time.sleep(0.01)
    process.wait()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Keep a second Ctrl-C from breaking into the tidying up that the first one began."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def guarded(name: str, body: Callable[[], None]) -> int:
    """Run the body of a command and turn however it ends into an exit code.

    SIGTERM and a closed terminal are treated as Ctrl-C, so that every `finally` runs.

    Args:
        name: the command's name, which begins its messages.
        body: the command.

    Returns:
        0, the fault's own code, or 130 when it was interrupted.
    """
    try:
        with _signals_interrupt():
            body()
    except Fault as fault:
        print(f"{name}: {fault}", file=sys.stderr)
        return fault.exit_code
    except KeyboardInterrupt:
        print(f"{name}: interrupted; the next run starts clean", file=sys.stderr)
        return INTERRUPTED
    return 0


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # What the caller ignores on purpose (nohup) stays ignored.
    heeded = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
