"""A program of ours from the cache, built first when it isn't there."""

import re
import subprocess
from pathlib import Path
from typing import Final

from simulator import cache, processes
from simulator.faults import Fault
from simulator.golang import build, store
from simulator.golang.program import Program
from simulator.progress import Progress

TIMEOUT_SECONDS: Final = 30.0


def installed(program: Program, progress: Progress | None = None) -> Path:
    """Give the path of a program at its pinned release, building it first if need be.

    Args:
        program: which.
        progress: where slow steps are told; stderr unless told. Nothing is printed when there are none.

    Returns:
        Its absolute path.

    Raises:
        Fault: it can't be built; it says what is missing and what to do.
    """
    if found := kept(program):
        return found
    progress = progress or Progress()
    place = store.home(program) / program.name
    with store.workspace(program, progress) as folder:
        if kept(program):  # the run that we waited for made it
            return place
        with cache.scratch(folder) as work:
            made = build.build(program, work, progress)
            if problem := _problem(program, made):
                raise unusable(program, made, problem)
            made.replace(place)
    progress.say(program.subject, f"{program.name} v{program.version} is in {place}")
    return place


def kept(program: Program) -> Path | None:
    """Return the program that an earlier run built, if it is there and still runs.

    Args:
        program: which.
    """
    binary = store.home(program) / program.name
    return binary if binary.exists() and not _problem(program, binary) else None


def unusable(program: Program, binary: Path, problem: str) -> Fault:
    """Return the fault of a program that was just made and will not do.

    Args:
        program: which.
        binary: what was made.
        problem: what it did when it was asked for its version.
    """
    return Fault(
        where=str(binary),
        found=f"the {program.subject} that was just made can't be used: {problem}",
        valid=f"a program that says it is v{program.version}",
        do="if that folder's file system forbids programs (mount option noexec), name another: "
        "FIXIA_CACHE=/path",
    )


def _problem(program: Program, binary: Path) -> str:
    """Ask a binary for its version; return what is wrong with it, nothing if it is the pinned release."""
    asked = " ".join(program.asks)
    try:
        said = processes.run([binary, *program.asks], timeout=TIMEOUT_SECONDS)
    except OSError as error:
        return error.strerror or str(error)
    except subprocess.TimeoutExpired:
        return f"no answer to `{asked}` within {TIMEOUT_SECONDS:.0f} seconds"
    if said.code:
        return f"`{asked}` ended with exit code {said.code}:\n{said.tail()}"
    if not re.search(rf"(?<![\d.]){re.escape(program.version)}(?![\d.])", "\n".join(said.lines)):
        return f"`{asked}` said\n{said.tail()}"
    return ""
