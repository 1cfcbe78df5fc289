"""A program inside an image's root filesystem, confined as the platform's pods confine it.

Not root, no capability, a read-only root, process numbers of its own (it is number 1, so that it must heed
SIGTERM by itself), and nothing of the machine but what is bound in. The network is the machine's own.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import psutil

from simulator import processes
from simulator.faults import Fault

USER: Final = 10001
"""As which the platform's pods run."""

GRACE_SECONDS: Final = 10.0
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_ENTER: Final = Path(__file__).with_name("enter.sh")
_POLL_SECONDS: Final = 0.005


@dataclass(frozen=True, kw_only=True)
class Bind:
    """A file or folder of the machine, inside.

    Attributes:
        source: the one of the machine; its owner and mode hold inside too.
        target: its absolute path inside; it need not exist there.
        writable: whether it may be written to.
    """

    source: Path
    target: str
    writable: bool = False


_NAMES: Final = tuple(
    Bind(source=Path(path), target=path) for path in ("/etc/hosts", "/etc/resolv.conf") if Path(path).exists()
)
"""How names are resolved, which a kubelet writes into each pod too."""


class Container:
    """A program that runs inside a root filesystem. Made by `run_in`."""

    def __init__(self, outer: subprocess.Popen[bytes], *, user: int, env: Mapping[str, str]) -> None:
        self._outer = outer  # `unshare`, which waits for the program and ends as it does
        self._user = user
        self._env = env

    @property
    def pid(self) -> int:
        """The program's process number on the machine; waits until it is inside and has dropped its rights.

        Raises:
            ProcessLookupError: it has ended.
        """
        while self._outer.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                for first in self._children():
                    if first.uids().real == self._user:
                        return first.pid
            time.sleep(_POLL_SECONDS)
        raise ProcessLookupError(f"the program has ended with exit code {self._outer.returncode}")

    def poll(self) -> int | None:
        """Return the exit code, which is not 0 when a signal ended it; None while it runs."""
        return self._outer.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit code.

        Args:
            timeout: seconds.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        return self._outer.wait(timeout)

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it has ended."""
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            os.kill(self.pid, number)

    def execute(self, command: Sequence[str], *, timeout: float = GRACE_SECONDS) -> processes.Ended:
        """Run another program beside it to its end, as `kubectl exec` and a probe's command do.

        Args:
            command: the program, as a path or name inside, and its arguments.
            timeout: seconds after which it is ended.

        Raises:
            ProcessLookupError: the container's own program has ended.
            subprocess.TimeoutExpired: the command took longer.
        """
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--root", "--wd"]
        return processes.run([*enter, *_confined(self._user), *command], env=self._env, timeout=timeout)

    def end(self, grace: float = GRACE_SECONDS) -> None:
        """End it and all that it started: asked first, then made to.

        Args:
            grace: seconds between the two.
        """
        self.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._outer.wait(grace)
        # The end of the first process of a namespace is that of all its others, and of its mounts.
        while self._outer.poll() is None:
            for first in self._children():
                with contextlib.suppress(psutil.NoSuchProcess):  # it has ended since it was seen
                    first.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._outer.wait(_POLL_SECONDS)

    def _children(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self._outer.pid).children()
        except psutil.NoSuchProcess:
            return []


@contextmanager
def run_in(
    rootfs: Path,
    command: Sequence[str],
    *,
    user: int = USER,
    binds: Sequence[Bind] = (),
    env: Mapping[str, str] | None = None,
    output: Path | None = None,
    grace: float = GRACE_SECONDS,
) -> Iterator[Container]:
    """Run a program inside a root filesystem; it has ended, with its children and mounts, when the body has.

    Args:
        rootfs: what it sees as `/`, read-only; see `root_filesystem`. /tmp and /dev/shm are its own.
        command: the program, as a path or name inside, and its arguments.
        user: the number of the user and the group that it runs as.
        binds: files and folders of the machine that it sees.
        env: its environment beside PATH; nothing of ours is handed on.
        output: the file that stdout and stderr are appended to; they are discarded unless told.
        grace: seconds that it may take to end when it is asked to.

    Yields:
        The program; it may not have begun yet.

    Raises:
        Fault: this machine lets nobody in.
    """
    _require_entry(rootfs)
    env = {"PATH": PATH, **(env or {})}
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(output.open("ab")) if output else subprocess.DEVNULL
        outer = subprocess.Popen(
            _entering(rootfs, [*_NAMES, *binds], [*_confined(user), *command]),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C in the terminal is ours to pass on
        )
        container = Container(outer, user=user, env=env)
        try:
            yield container
        finally:
            with processes.uninterrupted():
                container.end(grace)


def _entering(rootfs: Path, binds: Sequence[Bind], command: Sequence[str]) -> list[str]:
    entering = ["unshare", "--mount", "--pid", "--fork", "sh", str(_ENTER), str(rootfs)]
    for bind in binds:
        entering += ["rw" if bind.writable else "ro", str(bind.source), bind.target]
    return [*entering, "--", *command]


def _confined(user: int) -> list[str]:
    """The command that drops all rights for good, becomes the program after it, and ends with its parent."""
    nobody = ["--pdeathsig=KILL", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    return ["setpriv", *nobody, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]


@cache
def _require_entry(rootfs: Path) -> None:
    """Try once what `run_in` needs: afterwards a failure is the program's own."""
    try:
        tried = processes.run(_entering(rootfs, _NAMES, [*_confined(USER), "true"]), env={"PATH": PATH})
        problem = tried.tail() if tried.code else ""
    except OSError as error:
        problem = f"    unshare: {error.strerror}"
    if problem:
        raise Fault(
            where=str(rootfs),
            found=f"this machine lets nobody enter it:\n{problem}",
            valid="Linux, as root, with the right to mount (CAP_SYS_ADMIN), overlayfs and util-linux",
            do="run it with sudo; in a container, start that with --privileged",
        )
