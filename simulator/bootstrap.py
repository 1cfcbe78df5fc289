"""Make `.venv` what the requirements say: `python3 simulator/bootstrap.py`, from the Makefile.

Run by whatever Python the system has, so this file must parse under Python 3.6: one that is too old hands
over to a newer one on PATH, or says in one message what is needed. The work is in `environment.py`, which
only a Python that is new enough ever reads.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED = (3, 11)
NEWER = ("python3.13", "python3.12", "python3.11", "python3.14", "python3")
HANDED_OVER = "FIXIA_BOOTSTRAP_HANDED_OVER"
MACHINE = 3  # faults.py has it, and can't be read by an old Python
INTERRUPTED = 130


def version_of(program: str) -> "tuple[int, ...]":
    """Ask a Python for its version.

    Args:
        program: its path.

    Returns:
        Major and minor; empty when it does not run, as a shim of an uninstalled version does not.
    """
    ask = "import sys; print(sys.version_info[0], sys.version_info[1])"
    try:
        said = subprocess.check_output([program, "-I", "-c", ask], stderr=subprocess.DEVNULL, timeout=20)
        return tuple(int(part) for part in said.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()


def hand_over() -> int:
    """Go on with a Python on PATH that is new enough.

    Returns:
        An exit code when there is none; otherwise this process has become the newer Python.
    """
    found = "%s %d.%d.%d" % ((sys.executable,) + sys.version_info[:3])  # noqa: UP031, RUF005 - the oldest form
    for name in NEWER:
        program = shutil.which(name)
        if program and version_of(program) >= NEEDED:
            os.environ[HANDED_OVER] = f"{found} is too old, going on with {program}"
            os.execv(program, [program, __file__, *sys.argv[1:]])  # noqa: S606 - no shell wanted
    needed = ".".join(str(part) for part in NEEDED)
    sys.stderr.write(
        f"bootstrap: {found}: this Python is too old, and PATH has no newer one\n"
        f"  valid:  Python {needed} or newer\n"
        f"  to do:  install one and name it: make PYTHON=/path/to/python{needed} ...\n"
    )
    return MACHINE


def main() -> int:
    """Check the interpreter, then make the virtual environment with it.

    Returns:
        The exit code.
    """
    if sys.version_info[:2] < NEEDED:
        return hand_over()
    sys.path[0] = str(ROOT)  # run as a file, we would otherwise see this folder and not the package
    from simulator import environment

    return environment.main(sys.argv[1:], root=ROOT, note=os.environ.pop(HANDED_OVER, ""))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.stderr.write("bootstrap: interrupted; the next run starts clean\n")
        sys.exit(INTERRUPTED)
