"""The virtual environment: made once, installed again only when what it is made from changes.

`.venv` carries a stamp, written last, which says what it was made from. An environment without one was
interrupted, or is not ours, and is made anew: pip takes a half-copied package for an installed one.
"""

import argparse
import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from simulator import disk, locks, processes
from simulator.faults import Fault
from simulator.progress import Progress, Step

REQUIREMENTS: Final = ("requirements.txt", "requirements-dev.txt")
CONSTRAINTS: Final = "constraints.txt"
STAMP: Final = "made-from"
SUBJECT: Final = "python"

HEADER: Final = """\
# Every package of the virtual environment, with its exact version. Written by a program, not by hand:
# after a change of requirements.txt or requirements-dev.txt, or to take newer releases of what they
# need in turn, run `make lock` and commit the result.
"""

_ROOM: Final = {"need": "about 2 GB free for the virtual environment", "do": ""}

# A user's pip configuration may point installs elsewhere; in a virtual environment that is an error.
_NEUTRAL: Final = {"PIP_USER": "0", "PIP_TARGET": "", "PIP_PREFIX": "", "PIP_ROOT": "", "PIP_CONSTRAINT": ""}


def main(arguments: Sequence[str], *, root: Path, note: str = "") -> int:
    """Run the bootstrap's command line.

    Args:
        arguments: `--lock` writes constraints.txt anew; without it the environment is made.
        root: the project's folder.
        note: a line to print before any work; nothing is printed when there is none to do.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="bootstrap", description="Make .venv what the requirements say.")
    parser.add_argument("--lock", action="store_true", help="write constraints.txt anew")
    lock = parser.parse_args(arguments).lock
    return processes.guarded("bootstrap", lambda: (write_constraints if lock else prepare)(root, note=note))


def prepare(root: Path, *, note: str = "") -> None:
    """Make `.venv`, or bring it up to date; do and print nothing when it is.

    Args:
        root: the project's folder.
        note: a line to print before any work.

    Raises:
        Fault: the environment can't be made on this machine as it is.
    """
    venv = root / ".venv"
    if _up_to_date(root, venv):
        return
    _need_posix()
    progress = Progress()
    if note:
        progress.say(SUBJECT, note)
    with disk.faults(venv, **_ROOM), _lock(root, progress):
        if _up_to_date(root, venv):  # the run that we waited for made it
            return
        if not _whole(venv):
            _create(venv, progress)
        with _unstamped(venv):
            _install(venv, root, ["-r", REQUIREMENTS[-1], "-c", CONSTRAINTS], progress)
        (venv / STAMP).write_text(_made_from(root), encoding="utf-8")


def write_constraints(root: Path, *, note: str = "") -> None:
    """Resolve the requirements anew in an environment of their own and write what came out as pins.

    Args:
        root: the project's folder.
        note: a line to print first.

    Raises:
        Fault: the requirements can't be resolved or installed here.
    """
    _need_posix()
    progress = Progress()
    if note:
        progress.say(SUBJECT, note)
    with disk.faults(root, **_ROOM), _lock(root, progress), tempfile.TemporaryDirectory() as folder:
        venv = Path(folder) / "venv"
        _create(venv, progress)
        _install(venv, root, ["-r", REQUIREMENTS[-1]], progress)
        frozen = processes.run([*_pip(venv), "freeze"], env=_environment())
        if frozen.code:
            raise _pip_fault(frozen, root)
        pins = [line for line in frozen.lines if "==" in line]  # pip's warnings come on the same pipe
        (root / CONSTRAINTS).write_text(HEADER + "\n".join(pins) + "\n", encoding="utf-8")
        progress.say(SUBJECT, f"{CONSTRAINTS}: {len(pins)} packages pinned")


def _made_from(root: Path) -> str:
    """Return what an environment made now would be made from: our Python and the requirements."""
    digest = hashlib.sha256()
    for name in (*REQUIREMENTS, CONSTRAINTS):
        try:
            digest.update(name.encode() + b"\0" + (root / name).read_bytes() + b"\0")
        except OSError as error:
            raise Fault(
                where=str(root / name),
                found=error.strerror or str(error),
                valid="the file as it is in the repository",
                do=f"restore it: git checkout -- {name}",
            ) from error
    return f"{_python_line()}\nrequirements {digest.hexdigest()}\n"


def _python_line() -> str:
    return "python {}.{}".format(*sys.version_info[:2])


def _stamp(venv: Path) -> str:
    """Return what the environment says it was made from; nothing when it is not whole."""
    # The interpreter is a link, which dangles once the Python that it was made with is gone.
    with contextlib.suppress(OSError):
        return (venv / STAMP).read_text(encoding="utf-8") if _python(venv).exists() else ""
    return ""


def _up_to_date(root: Path, venv: Path) -> bool:
    return _stamp(venv) == _made_from(root)


def _whole(venv: Path) -> bool:
    """Tell whether pip may change the environment as it is; otherwise it has to be made anew."""
    return _stamp(venv).startswith(_python_line() + "\n")


@contextlib.contextmanager
def _unstamped(venv: Path) -> Iterator[None]:
    """Take the stamp away while pip works; give it back if pip gave up before it changed anything."""
    before = _stamp(venv)
    (venv / STAMP).unlink(missing_ok=True)
    try:
        yield
    except _NothingChanged:
        if before:
            (venv / STAMP).write_text(before, encoding="utf-8")
        raise


class _NothingChanged(Fault):
    """Pip failed while it was still looking for packages."""


def _create(venv: Path, progress: Progress) -> None:
    try:
        import ensurepip  # noqa: F401 - Debian ships Python without it
        import venv as _  # noqa: F401
    except ImportError as error:
        package = "python{}.{}-venv".format(*sys.version_info[:2])
        raise Fault(
            where=sys.executable,
            found=f"this Python comes without {error.name or 'venv'}, which makes virtual environments",
            valid="a Python with venv and ensurepip",
            do=f"on Debian and Ubuntu: sudo apt install {package}; elsewhere install a complete Python",
        ) from error
    # From inside an environment, the Python that it was made with: `--clear` would remove our own.
    maker: str = getattr(sys, "_base_executable", None) or sys.executable
    with progress.step(SUBJECT, f"making {venv} with {maker}"):
        ended = processes.run([maker, "-I", "-m", "venv", "--clear", str(venv)])
        if ended.code:
            if ended.disk_full or disk.is_full(venv):
                raise disk.full(venv, **_ROOM)
            raise Fault(
                where=str(venv),
                found=f"could not be made:\n{ended.tail()}",
                valid="a folder that we may write",
                do="put that right, then run the command again",
            )


def _install(venv: Path, root: Path, what: Sequence[str], progress: Progress) -> None:
    with progress.step(SUBJECT, "installing the pinned packages (a few minutes the first time)") as step:
        watch = _Watch(step)
        options = ("--no-input", "--disable-pip-version-check", "--progress-bar", "off")
        command = [*_pip(venv), "install", *options, *what]
        ended = processes.run(command, env=_environment(), cwd=root, on_line=watch.line)
        if ended.code:
            raise _pip_fault(ended, venv, Fault if watch.copying else _NothingChanged)
        step.outcome = f"{watch.resolved} packages are in place"


class _Watch:
    """What pip is at, read from its output."""

    def __init__(self, step: Step) -> None:
        self.resolved = 0
        self.copying = False
        self._last = "starting pip"
        step.status = lambda: f"{self.resolved} packages found so far; {self._last}"

    def line(self, text: str) -> None:
        """Take a line of pip's output."""
        self._last = text.strip().partition(": ")[0][:90] or self._last
        self.resolved += text.startswith(("Collecting ", "Requirement already satisfied: "))
        self.copying |= text.startswith("Installing collected packages")


def _pip(venv: Path) -> tuple[str, ...]:
    return (str(_python(venv)), "-I", "-m", "pip")


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, **_NEUTRAL}


def _python(venv: Path) -> Path:
    return venv / "bin" / "python"


def _lock(root: Path, progress: Progress) -> contextlib.AbstractContextManager[None]:
    folder = root / "build"
    folder.mkdir(exist_ok=True)
    return locks.exclusive(folder / "bootstrap.lock", progress, SUBJECT)


def _need_posix() -> None:
    if os.name != "posix":
        raise Fault(
            where=sys.platform,
            found="this project's tools do not run on this operating system",
            valid="Linux or macOS",
            do="on Windows, work inside WSL 2",
        )


def _pip_fault(ended: processes.Ended, place: Path, kind: type[Fault] = Fault) -> Fault:
    if ended.disk_full:
        return disk.full(place, **_ROOM)
    return kind(
        where="pip install -r requirements-dev.txt",
        found=f"it failed (exit code {ended.code}); its own words:\n{ended.errors()}",
        valid="a package index that pip can reach and that has the pinned versions",
        do="check the network and pip's settings (python3 -m pip config list), then run the command again",
    )
