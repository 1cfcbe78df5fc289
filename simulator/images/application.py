"""The sample application's image: Debian's Node.js, the locked dependencies, the application's own files."""

import hashlib
import os
import platform
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from simulator import cache, disk, locks, processes
from simulator.faults import Fault
from simulator.images import debian
from simulator.images.archive import Image, Layer
from simulator.images.dockerfile import run_settings
from simulator.images.rootfs import IMAGES, root_filesystem
from simulator.progress import Progress

NAME: Final = "sample-app"

_LOCKED: Final = ("package.json", "package-lock.json", ".npmrc")
_OWN: Final = ("package.json", "src", "migrations", "public")
"""What its Dockerfile copies."""


def application(name: str, progress: Progress | None = None) -> Image:
    """Return the sample application's image, its dependencies installed first if need be.

    Args:
        name: as pods name it, with its tag.
        progress: where slow steps are told; stderr unless told.

    Raises:
        Fault: no npm, no registry of packages, or no root filesystem.
    """
    source = IMAGES / NAME
    system, modules = root_filesystem(NAME, progress), _modules(source, progress or Progress())
    own = {f"app/{path.relative_to(source)}": path for path in _files(source, _OWN)}
    return Image(
        name=name,
        identity=f"{system.name} {modules.name} {_digest(source, own.values())}",
        layers=[Layer(root=system), Layer(root=modules, under="app/node_modules"), Layer(files=own)],
        settings=run_settings(source / "Dockerfile", {"VERSION": name.rpartition(":")[2]}),
    )


def _modules(source: Path, progress: Progress) -> Path:
    """The folder of the locked dependencies; appears whole, by a rename, and is never written again."""
    locked = [source / name for name in _LOCKED]
    digest = _digest(source, locked, platform.machine())
    kept = cache.root() / "images" / f"modules-{digest}"
    if kept.is_dir():
        return kept
    with disk.faults(kept.parent, need=debian.NEED, do=cache.ELSEWHERE):
        kept.parent.mkdir(parents=True, exist_ok=True)
        with locks.exclusive(kept.parent / "lock", progress, debian.SUBJECT):
            if not kept.is_dir():  # the run that we waited for may have made it
                with cache.scratch(kept.parent) as work:
                    for path in locked:
                        shutil.copy(path, work)
                    _install(work, progress)
                    (work / "node_modules").rename(kept)
    return kept


def _install(work: Path, progress: Progress) -> None:
    npm = shutil.which("npm")
    problem = "PATH has no npm"
    if npm:
        with progress.step(debian.SUBJECT, f"{NAME}: its dependencies (npm ci, once)") as step:
            command = [npm, "ci", "--omit=dev", "--no-audit", "--no-fund", "--no-progress"]
            env = {**os.environ, "npm_config_cache": str(work / "cache")}
            ended = processes.run(command, cwd=work, env=env)
            if ended.disk_full:
                raise disk.full(work, need=debian.NEED, do=cache.ELSEWHERE)
            problem = ended.tail() if ended.code else ""
            step.outcome = f"{NAME}: " + ("failed" if problem else "its dependencies are there")
    if problem:
        raise Fault(
            where=f"the dependencies of images/{NAME}",
            found=problem,
            valid="npm, and a registry of packages that it reaches",
            do="install Node.js with npm, and check `npm config get registry`",
        )


def _files(source: Path, names: Sequence[str]) -> list[Path]:
    found: list[Path] = []
    for name in names:
        path = source / name
        found += sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    return found


def _digest(source: Path, files: Iterable[Path], *more: str) -> str:
    content = hashlib.sha256("\n".join(more).encode())
    for path in files:
        content.update(f"\n{path.relative_to(source)} ".encode())
        content.update(hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()[:12]
