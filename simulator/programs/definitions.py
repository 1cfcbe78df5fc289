"""The custom resource definitions that a cluster of this platform has, out of their makers' Go modules.

Nothing is built: a module is downloaded, as its go.mod and go.sum pin it, and its definitions are kept.
"""

import shutil
from pathlib import Path
from typing import Any, Final

import yaml

from simulator import cache, disk, processes
from simulator.faults import Fault
from simulator.golang import store, toolchain
from simulator.golang.program import Program
from simulator.progress import Progress

CERT_MANAGER: Final = Program(
    name="cert-manager",
    subject="cert-manager",
    module="github.com/cert-manager/cert-manager",
    command="deploy/crds",  # where in the module they are
    folder=Path(__file__).resolve().with_name("cert-manager"),
    minutes="a few seconds",
    build_bytes=5 * 10**8,  # for a Go, where there is none
    kept_bytes=10**6,
)

CLOUDNATIVE_PG: Final = Program(
    name="cloudnative-pg",
    subject="cloudnative-pg",
    module="github.com/cloudnative-pg/cloudnative-pg",
    command="config/crd/bases",
    folder=Path(__file__).resolve().with_name("cloudnative-pg"),
    minutes="a few seconds",
    build_bytes=5 * 10**8,
    kept_bytes=10**6,
)

_KEPT: Final = "crds"


def definitions(module: Program, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Give a module's custom resource definitions, downloading them first if need be.

    Args:
        module: whose: `CERT_MANAGER` or `CLOUDNATIVE_PG`.
        progress: where the download is told; stderr unless told. Nothing is printed when there is none.

    Returns:
        The definitions as manifests, by name.

    Raises:
        Fault: they can't be had; it says what is missing.
    """
    place = store.home(module) / _KEPT
    if not place.is_dir():
        progress = progress or Progress()
        with store.workspace(module, progress) as folder:
            if not place.is_dir():  # the run that we waited for may have made it
                with cache.scratch(folder) as work:
                    _download(module, work, progress).replace(place)
    files = sorted(place.glob("*.yaml"))
    found = [manifest for file in files for manifest in yaml.safe_load_all(file.read_text(encoding="utf-8"))]
    return sorted(filter(None, found), key=lambda manifest: str(manifest["metadata"]["name"]))


def kept(module: Program) -> bool:
    """Tell whether an earlier run has downloaded a module's definitions.

    Args:
        module: whose.
    """
    return (store.home(module) / _KEPT).is_dir()


def _download(module: Program, work: Path, progress: Progress) -> Path:
    """Download a module into a folder that is thrown away; return the folder of its definitions in there."""
    disk.require(work, module.build_bytes, need=module.need, do=cache.ELSEWHERE)
    go = toolchain.go(module, work, progress)
    env = toolchain.environment(go, work)
    pins = work / "module"
    pins.mkdir()
    for name in ("go.mod", "go.sum"):
        shutil.copy(module.folder / name, pins)
    what = f"downloading the definitions of v{module.version} ({module.minutes}, once)"
    with progress.step(module.subject, what) as step:
        ended = processes.run([go, "mod", "download", module.module], env=env, cwd=pins)
        if ended.disk_full:
            raise disk.full(work, need=module.need, do=cache.ELSEWHERE)
        source = work / "modules" / f"{module.module}@v{module.version}" / module.command
        if ended.code or not source.is_dir():
            raise Fault(
                where=f"{module.module} v{module.version} in Go's module registry",
                found=f"it can't be had, or is not what go.sum pins:\n{ended.tail()}",
                valid=f"the module, with a folder {module.command}",
                do="check the network, HTTPS_PROXY and GOPROXY (go env GOPROXY); restore go.sum from git",
            )
        crds = work / _KEPT
        shutil.copytree(source, crds, ignore=shutil.ignore_patterns("*.md"))
        step.outcome = f"{len(list(crds.glob('*.yaml')))} definitions are in {store.home(module) / _KEPT}"
    return crds
