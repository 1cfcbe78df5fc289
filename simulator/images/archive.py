"""Images as archives that a container runtime takes: the same folders give the same bytes.

    <cache>/images/archives/<name>-<hash>.tar    the newest of each name is kept

Source: https://github.com/moby/docker-image-spec/blob/main/spec.md (layers, configuration, manifest.json)
"""

import hashlib
import io
import json
import os
import platform
import re
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from simulator import cache, disk, locks
from simulator.images import debian
from simulator.progress import Progress

NEWEST: Final = 1767225600
"""No file in a layer is newer than this, 2026-01-01: what a build made is as old in each build. What is older
stays so, because compiled Python remembers how old its source is."""

_RECIPE: Final = "1"
"""Raise it when archives are made in another way."""

_EMPTY: Final = ("dev", "proc", "sys", "run", "tmp", "var/tmp", "var/cache", "var/log", "var/lib/apt")
"""Folders that a layer has without what is in them: a machine's own business, or a package manager's."""

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer: a folder's content, or single files.

    Attributes:
        root: the folder; None if there is none.
        files: path inside -> the file; made executable for all where they are executable for their owner.
        under: the path inside below which the folder's content goes.
    """

    root: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    under: str = ""


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image to be packed.

    Attributes:
        name: as pods name it, with its tag.
        identity: tells one content of the layers from another, such as the name of a kept root filesystem.
        layers: the lowest first.
        settings: how it is run, as `dockerfile.run_settings` gives it.
    """

    name: str
    identity: str
    layers: Sequence[Layer]
    settings: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """What tells it from every other image: 12 hexadecimal digits."""
        content = json.dumps([_RECIPE, self.name, self.identity, dict(self.settings)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]


def archived(image: Image, progress: Progress | None = None) -> Path:
    """Give an image's archive, packing it first if need be.

    Args:
        image: what to pack.
        progress: where that is told; stderr unless told. Nothing is printed when it is there.

    Returns:
        The archive's file.

    Raises:
        Fault: it can't be written.
    """
    folder = cache.root() / "images" / "archives"
    stem = re.sub(r"[^\w.-]+", "_", image.name)
    target = folder / f"{stem}-{image.digest}.tar"
    if target.exists():
        return target
    progress = progress or Progress()
    with disk.faults(folder, need=debian.NEED, do=cache.ELSEWHERE):
        folder.mkdir(parents=True, exist_ok=True)
        with (
            locks.exclusive(folder / "lock", progress, debian.SUBJECT),
            cache.scratch(folder) as work,
            progress.step(debian.SUBJECT, f"packing {image.name}") as step,
        ):
            made = work / "image.tar"
            write(image, made)
            for older in folder.glob(f"{stem}-????????????.tar"):
                older.unlink()
            made.replace(target)
            step.outcome = f"{image.name}: {target.stat().st_size / 1e6:.0f} MB"
    return target


def write(image: Image, target: Path) -> None:
    """Write an image's archive.

    Args:
        image: what to pack.
        target: the file to write.
    """
    layers = []
    for number, layer in enumerate(image.layers):
        file = target.with_name(f"layer-{number}.tar")
        with tarfile.open(file, mode="w", format=tarfile.GNU_FORMAT) as tar:
            _fill(tar, layer)
        with file.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        layers.append((f"{digest}.tar", digest, file))
    config = _bytes(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": dict(image.settings),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for _, digest, _ in layers]},
        }
    )
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [image.name], "Layers": [file for file, _, _ in layers]}]
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        for member, content in ((name, config), ("manifest.json", _bytes(manifest))):
            info = tarfile.TarInfo(member)
            info.size, info.mtime = len(content), NEWEST
            tar.addfile(info, io.BytesIO(content))
        for member, _, file in layers:
            info = tarfile.TarInfo(member)
            info.size, info.mtime = file.stat().st_size, NEWEST
            with file.open("rb") as source:
                tar.addfile(info, source)
            file.unlink()


def _fill(tar: tarfile.TarFile, layer: Layer) -> None:
    under = layer.under.strip("/")
    for folder in _parents([*layer.files, *([f"{under}/x"] if under else [])]):
        tar.addfile(_plain(folder, tarfile.DIRTYPE, 0o755))
    if layer.root:
        for inner, path in _below(layer.root):
            _add(tar, path, f"{under}/{inner}" if under else inner)
    for inner, path in sorted(layer.files.items()):
        info = _plain(inner, tarfile.REGTYPE, 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
        info.size = path.stat().st_size
        with path.open("rb") as source:
            tar.addfile(info, source)


def _add(tar: tarfile.TarFile, path: Path, inner: str) -> None:
    info = tar.gettarinfo(path, inner)
    if info is None:  # a socket
        return
    info.mtime = min(int(info.mtime), NEWEST)
    info.uname = info.gname = ""
    if info.isreg():
        with path.open("rb") as source:
            tar.addfile(info, source)
    else:
        tar.addfile(info)


def _below(root: Path) -> Iterator[tuple[str, Path]]:
    """Everything below a folder in a fixed order, each folder before what is in it."""
    for folder, names, files in os.walk(root):
        place = Path(folder)
        inside = place.relative_to(root)
        if str(inside) in _EMPTY:
            names.clear()
            continue
        names.sort()
        for name in sorted([*names, *files]):
            yield str(inside / name), place / name


def _parents(paths: Sequence[str]) -> list[str]:
    """Each folder that the paths lie in, the outer ones first."""
    found = {str(parent) for path in paths for parent in Path(path).parents}
    return sorted(found - {"."})


def _plain(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, mode, NEWEST
    return info


def _bytes(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
