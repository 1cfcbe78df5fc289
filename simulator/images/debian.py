"""A Debian root filesystem from a list of packages, made by `mmdebstrap` out of the machine's own mirror."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from simulator import cache, disk, processes
from simulator.faults import USAGE, Fault
from simulator.progress import Progress, Step

SUITE: Final = "trixie"
"""The release that every Dockerfile of `images/` starts from."""

VARIANT: Final = "essential"
"""What each system has beside its packages: a shell and the base tools, no package manager."""

MIRROR_SETTING: Final = "FIXIA_DEBIAN_MIRROR"
SUBJECT: Final = "image"
BUILD_BYTES: Final = 3 * 10**9
NEED: Final = "3 GB free while an image is built, 100 to 700 MB afterwards"

_LEFT_OUT: Final = (
    "/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/lintian/*",
    "/usr/share/locale/*", "/usr/share/groff/*",
)  # fmt: skip
"""What Debian's own slim images leave out too."""

_UNREACHABLE: Final = (
    "Failed to fetch", "Temporary failure resolving", "Could not resolve", "Could not connect",
    "Connection timed out", "Connection failed", "Network is unreachable", "Unable to connect",
    "404  Not Found", "does not have a Release file",
)  # fmt: skip
"""How apt says that packages can't be had."""


def bootstrap(packages: Sequence[str], target: Path, progress: Progress, *, name: str) -> None:
    """Install packages, and what they depend on, into a new root filesystem.

    Args:
        packages: Debian package names.
        target: the folder to make, on the disk that it stays on.
        progress: where the work is told.
        name: the image's name, for the progress line.

    Raises:
        Fault: no root, no mmdebstrap, no mirror, no such package, no network or no disk space.
    """
    _require_root()
    disk.require(target.parent, BUILD_BYTES, need=NEED, do=cache.ELSEWHERE)
    program = _mmdebstrap(progress)
    command = [program, "--mode=root", f"--variant={VARIANT}", f"--include={','.join(packages)}"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
    # A licence stays with what it licenses.
    command += ["--dpkgopt=path-include=/usr/share/doc/*/copyright", SUITE, str(target), *_archives()]
    # In a mount namespace of its own: what it mounts inside the target is gone however it ends, so that
    # removing a half-made target can never reach through into the machine's own /dev or /proc.
    with progress.step(
        SUBJECT, f"{name}: Debian {SUITE} with {', '.join(packages)} (about a minute, once)"
    ) as step:
        ended = processes.run(
            ["unshare", "--mount", *command],
            env={**os.environ, "LC_ALL": "C.UTF-8", "TMPDIR": str(target.parent)},
            on_line=_watch(step),
        )
        if ended.code:
            raise _fault(ended, target.parent)
        step.outcome = f"{name}: made"


def _require_root() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise Fault(
            where="root filesystems of images",
            found="this user may not make or enter one",
            valid="Linux, as root: a root filesystem holds files of several users",
            do="run it with sudo, or inside a container as root",
        )


def _archives() -> list[str]:
    """Each archive to install from, as a line of sources.list: wherever this machine's apt gets Debian."""
    if named := os.environ.get(MIRROR_SETTING):
        return [f"deb {named} {SUITE} main"]
    found = _configured()
    if "" not in found and shutil.which("apt-get"):
        processes.run(["apt-get", "update"])  # until then apt knows of no archive whose it is
        found = _configured()
    if "" not in found:
        raise Fault(
            where="apt's sources (apt-get indextargets)",
            found="they name no archive of Debian's, or none that answers",
            valid="a mirror of Debian that this machine can reach",
            do=f"run it on Debian, or name a mirror: {MIRROR_SETTING}=https://...",
        )
    return [f"deb {uri} {SUITE}{suffix} main" for suffix, uri in sorted(found.items())]


def _configured() -> dict[str, str]:
    """Where this machine gets Debian: suffix of the suite (none, `-updates`, `-security`) -> address."""
    form = "$(ORIGIN) $(COMPONENT) $(CODENAME) $(REPO_URI)"
    try:
        said = processes.run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"])
    except FileNotFoundError:
        return {}
    found = {}
    for line in said.lines:
        if named := re.fullmatch(r"Debian main [a-z]+(|-updates|-security) (\S+)", line):
            found[named[1]] = named[2]
    return found


def _mmdebstrap(progress: Progress) -> str:
    """Find mmdebstrap, or install it where that is Debian's own business: as root, by apt-get."""
    if program := shutil.which("mmdebstrap"):
        return program
    why = ""
    if shutil.which("apt-get"):
        with progress.step(SUBJECT, "installing mmdebstrap (apt-get install mmdebstrap)") as step:
            why = _installed()
            step.outcome = "mmdebstrap failed to install" if why else "mmdebstrap is there"
        if program := shutil.which("mmdebstrap"):
            return program
    raise Fault(
        where="mmdebstrap",
        found="PATH has none" + (f", and apt-get gave none:\n{why}" if why else ""),
        valid="the program that makes Debian root filesystems",
        do="apt-get install mmdebstrap",
    )


def _installed() -> str:
    """Install mmdebstrap; return what went wrong, if anything did."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--no-install-recommends", "mmdebstrap"]
    for command in (install, ["apt-get", "update"], install):
        ended = processes.run(command, env=env)
        if command is install and not ended.code:
            return ""
    return ended.tail()


def _watch(step: Step) -> Callable[[str], None]:
    """Tell at each heartbeat what mmdebstrap said last of its own steps."""

    def line(text: str) -> None:
        if text.startswith("I: "):
            step.status = lambda: text.removeprefix("I: ")

    return line


def _fault(ended: processes.Ended, place: Path) -> Fault:
    if ended.disk_full or disk.is_full(place):
        return disk.full(place, need=NEED, do=cache.ELSEWHERE)
    errors = processes.Ended(
        code=ended.code, lines=tuple(line for line in ended.lines if line.startswith("E:"))
    )
    said = (errors if errors.lines else ended).tail()
    if any(sign in line for line in ended.lines for sign in _UNREACHABLE):
        return Fault(
            where="the Debian mirror",
            found=f"it can't be reached, or lacks {SUITE}:\n{said}",
            valid="a mirror of Debian that this machine can reach",
            do=f"check the network and apt's sources, or name a mirror: {MIRROR_SETTING}=https://...",
        )
    if any("Unable to locate package" in line for line in ended.lines):
        return Fault(
            where="packages.txt",
            found=f"Debian {SUITE} has no such package:\n{said}",
            valid=f"packages of Debian {SUITE}, section main",
            do="correct the name",
            exit_code=USAGE,
        )
    return Fault(
        where="mmdebstrap",
        found=f"it failed (exit code {ended.code}):\n{said}",
        valid="a root filesystem of Debian packages",
        do="put right what it says; where mounting is forbidden, run it where it is allowed",
    )
