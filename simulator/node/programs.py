"""The programs of a node, from the cache or built first: Kubernetes' own, etcd, DNS, metrics and S3.

Kubernetes' parts share most of their sources, so that they are built together, in a third of the time:

${FIXIA_CACHE:-${XDG_CACHE_HOME:-~/.cache}/fixia}/kubernetes-node/v<release>/bin/
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from simulator import cache, disk, processes
from simulator.faults import Fault
from simulator.golang import store, toolchain
from simulator.golang.install import installed
from simulator.golang.install import kept as kept_program
from simulator.golang.program import Program
from simulator.programs.registry import PROGRAMS
from simulator.progress import Progress

_FOLDER: Final = Path(__file__).resolve().parents[1] / "programs"

PARTS: Final = ("kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet")
"""What is built together; kubectl is for people."""

KUBERNETES: Final = Program(
    name="kubelet",
    subject="kubernetes-node",
    module="k8s.io/kubernetes",
    command="cmd/kubelet",
    folder=_FOLDER / "kubernetes-node",
    stamps=PROGRAMS["kube-apiserver"].stamps,
    asks=("--version",),
    minutes="five minutes",
    build_bytes=8 * 10**9,
    kept_bytes=350 * 10**6,
)

COREDNS: Final = Program(
    name="coredns",
    subject="coredns",
    module="github.com/coredns/coredns",
    command=".",
    folder=_FOLDER / "coredns",
    asks=("-version",),
    minutes="two minutes",
    build_bytes=5 * 10**9,
    kept_bytes=60 * 10**6,
)

METRICS_SERVER: Final = Program(
    name="metrics-server",
    subject="metrics-server",
    module="sigs.k8s.io/metrics-server",
    command="cmd/metrics-server",
    folder=_FOLDER / "metrics-server",
    stamps={"k8s.io/client-go/pkg/version.gitVersion": "v{version}"},
    asks=("--version",),
    minutes="two minutes",
    build_bytes=5 * 10**9,
    kept_bytes=60 * 10**6,
)

_SINGLE: Final = (
    *(PROGRAMS["etcd"], PROGRAMS["kube-apiserver"], COREDNS, METRICS_SERVER),
    PROGRAMS["versitygw"],  # the S3 beside the cluster
)
_BIN: Final = "bin"


def programs(progress: Progress | None = None) -> Mapping[str, Path]:
    """Give the path of each of a node's programs, building first those that are not there.

    Args:
        progress: where slow steps are told; stderr unless told. Nothing is printed when there are none.

    Returns:
        Name -> absolute path. Those of `PARTS` are in one folder, with nothing else in it.

    Raises:
        Fault: one can't be built; it says what is missing and what to do.
    """
    progress = progress or Progress()
    folder = _built(progress)
    return {
        **{program.name: installed(program, progress) for program in _SINGLE},
        **{name: folder / name for name in PARTS},
    }


def kubectl(progress: Progress | None = None) -> Path:
    """Give kubectl's path alone, building Kubernetes' programs first if they are not there.

    Args:
        progress: where slow steps are told; stderr unless told.

    Raises:
        Fault: it can't be built.
    """
    return _built(progress or Progress()) / "kubectl"


def missing() -> list[str]:
    """Return the names of what would have to be built."""
    found = [program.name for program in _SINGLE if not kept_program(program)]
    return found + ([] if _kept() else [KUBERNETES.subject])


def _kept() -> Path | None:
    folder = store.home(KUBERNETES) / _BIN
    return folder if all((folder / name).exists() for name in PARTS) else None


def _built(progress: Progress) -> Path:
    """The folder of Kubernetes' programs, which appears there whole, by a rename."""
    if found := _kept():
        return found
    with store.workspace(KUBERNETES, progress) as home:
        if not _kept():  # the run that we waited for may have made it
            with cache.scratch(home) as work:
                made = _build(work, progress)
                shutil.rmtree(home / _BIN, ignore_errors=True)
                made.replace(home / _BIN)
    return home / _BIN


def _build(work: Path, progress: Progress) -> Path:
    disk.require(work, KUBERNETES.build_bytes, need=KUBERNETES.need, do=cache.ELSEWHERE)
    go = toolchain.go(KUBERNETES, work, progress)
    env = toolchain.environment(go, work)
    module, folder = work / "module", work / _BIN
    module.mkdir()
    folder.mkdir()
    for name in ("go.mod", "go.sum"):
        shutil.copy(KUBERNETES.folder / name, module)
    packages = [f"{KUBERNETES.module}/cmd/{name}" for name in PARTS]
    command = [str(go), "build", "-v", "-trimpath", "-mod=readonly", "-buildvcs=false"]
    command += ["-ldflags", KUBERNETES.linker_flags]
    compiled = 0

    def count(text: str) -> None:
        nonlocal compiled
        compiled += bool(text and " " not in text)

    what = f"building {', '.join(PARTS)} v{KUBERNETES.version} (about {KUBERNETES.minutes}, once)"
    with progress.step(KUBERNETES.subject, what) as step:
        step.status = lambda: f"{compiled} packages compiled so far"
        ended = processes.run([*command, "-o", f"{folder}/", *packages], env=env, cwd=module, on_line=count)
        if ended.disk_full:
            raise disk.full(work, need=KUBERNETES.need, do=cache.ELSEWHERE)
        if ended.code:
            words = processes.Ended(code=ended.code, lines=tuple(line for line in ended.lines if " " in line))
            raise Fault(
                where=f"go build of {KUBERNETES.module}'s parts",
                found=f"it failed (exit code {ended.code}):\n{words.tail()}",
                valid="a build as go.mod and go.sum pin it, from a registry of Go modules that answers",
                do="check the network and GOPROXY; if it was killed, give the machine 4 GB of memory",
            )
        step.outcome = "built"
    return folder
