"""The root filesystem of an image of this project, made once and kept.

An image is a folder `images/<name>/`: `Dockerfile`, `packages.txt` with one Debian package a line and, when
it has files of its own, `rootfs/`, which lies over what the packages bring. A registry's image is built from
the Dockerfile; this module makes the same system out of the same archive, with no container engine.

${FIXIA_CACHE:-${XDG_CACHE_HOME:-~/.cache}/fixia}/images/
    <name>-<hash>/  a root filesystem; appears there whole, by a rename, and is never written again
    lock            held by the run that makes one
    work-*/         that run's half-made one; gone when it ends
"""

import hashlib
import stat
from pathlib import Path
from typing import Final

from simulator import cache, disk, locks, processes
from simulator.faults import USAGE, Fault
from simulator.images import debian
from simulator.progress import Progress

IMAGES: Final = Path(__file__).resolve().parents[2] / "images"

_RECIPE: Final = f"1 {debian.SUITE} {debian.VARIANT}"
"""Raise the number when root filesystems are made in another way: none of the kept ones is used again."""


def root_filesystem(name: str, progress: Progress | None = None, *, images: Path = IMAGES) -> Path:
    """Give the root filesystem of an image, making it first if need be: about a minute, as root, on Linux.

    It is as new as the archive was then: what is kept is found by the image's own files, not by the
    archive's versions. Remove the folder to have it made anew.

    Args:
        name: the image's name, a folder of `images`.
        progress: where slow steps are told; stderr unless told. Nothing is printed when there are none.
        images: the folder of all images.

    Returns:
        The folder to use as `/`. It is shared by all who ask, so nobody writes to it.

    Raises:
        Fault: there is no such image, or this machine can't make it; it says what is missing.
    """
    source = images / name
    packages = _packages(source)
    kept = cache.root() / "images" / f"{name}-{_digest(packages, source / 'rootfs')}"
    if kept.is_dir():
        return kept
    progress = progress or Progress()
    with disk.faults(kept.parent, need=debian.NEED, do=cache.ELSEWHERE):
        kept.parent.mkdir(parents=True, exist_ok=True)
        with locks.exclusive(kept.parent / "lock", progress, debian.SUBJECT):
            if not kept.is_dir():  # the run that we waited for may have made it
                with cache.scratch(kept.parent) as work:
                    made = work / "root"
                    debian.bootstrap(packages, made, progress, name=name)
                    _overlay(source / "rootfs", made)
                    made.rename(kept)
    return kept


def _packages(source: Path) -> list[str]:
    """The image's packages; the file has nothing but them, so that the Dockerfile can read it too."""
    try:
        packages = (source / "packages.txt").read_text(encoding="utf-8").split()
    except (FileNotFoundError, NotADirectoryError):
        packages = []
    if not packages:
        raise Fault(
            where=str(source / "packages.txt"),
            found="there is no such file, or no package in it",
            valid="a Debian package a line",
            do="name an image of images/ that is made of Debian packages",
            exit_code=USAGE,
        )
    return packages


def _digest(packages: list[str], files: Path) -> str:
    """What tells one content of an image from another: 12 hexadecimal digits."""
    content = hashlib.sha256("\n".join([_RECIPE, *sorted(packages)]).encode())
    for path in sorted(files.rglob("*")):
        mode = path.lstat().st_mode
        content.update(f"\n{path.relative_to(files)} {mode:o} ".encode())
        if stat.S_ISLNK(mode):
            content.update(str(path.readlink()).encode())
        elif stat.S_ISREG(mode):
            content.update(hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()[:12]


def _overlay(files: Path, root: Path) -> None:
    """Copy an image's own files over what the packages brought, owned by root as in an image."""
    if not files.is_dir():
        return
    # A file goes in the place of a link, never through it: in there `/etc/x` would be this machine's own.
    command = ["cp", "--recursive", "--no-dereference", "--preserve=mode,links", "--remove-destination"]
    ended = processes.run([*command, f"{files}/.", str(root)])
    if ended.disk_full:
        raise disk.full(root, need=debian.NEED, do=cache.ELSEWHERE)
    if ended.code:
        raise Fault(
            where=str(files),
            found=f"it does not fit over the packages:\n{ended.tail()}",
            valid="files in folders, where the packages have no link in the folder's place",
            do="move them to where the link leads, such as usr/bin for bin",
            exit_code=USAGE,
        )
