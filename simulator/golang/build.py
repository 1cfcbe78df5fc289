"""A program from source, out of Go's module registry, as its go.mod and go.sum pin it."""

import shutil
from pathlib import Path
from typing import Final

from simulator import cache, disk, processes
from simulator.faults import Fault
from simulator.golang import toolchain
from simulator.golang.program import Program
from simulator.progress import Progress, Step

_UNREACHABLE: Final = (
    "dial tcp", "no such host", "i/o timeout", "connection refused", "connection reset", "TLS handshake",
    "x509:", "proxyconnect", "module lookup disabled", "403 Forbidden", "404 Not Found", "410 Gone",
    "502 Bad", "503 Service", "407 Proxy", "unexpected EOF",
)  # fmt: skip
"""How go says that modules can't be had."""


def build(program: Program, work: Path, progress: Progress) -> Path:
    """Build a program in a folder of its own, with caches of its own.

    Args:
        program: what to build.
        work: the folder for everything, the binary too; thrown away after.
        progress: where the build is told.

    Returns:
        The binary, not yet tried.

    Raises:
        Fault: no Go, no modules, no disk space, or a build that fails.
    """
    disk.require(work, program.build_bytes, need=program.need, do=cache.ELSEWHERE)
    go = toolchain.go(program, work, progress)
    env = toolchain.environment(go, work)
    module = work / "module"
    module.mkdir()
    for path in (program.folder / "go.mod", program.folder / "go.sum", *program.folder.glob("*.go")):
        shutil.copy(path, module)
    binary = work / program.name
    command = [str(go), "build", "-v", "-trimpath", "-mod=readonly", "-buildvcs=false"]
    command += ["-ldflags", program.linker_flags, "-o", str(binary), program.package]
    what = f"building {program.name} v{program.version} (about {program.minutes}, once)"
    with progress.step(program.subject, what) as step:
        ended = processes.run(command, env=env, cwd=module, on_line=_Watch(step).line)
        if ended.code:
            raise _fault(program, ended, work)
        step.outcome = "built"
    return binary


class _Watch:
    """How far the build is, read from what `go build -v` prints."""

    def __init__(self, step: Step) -> None:
        self._modules = 0
        self._packages = 0
        step.status = lambda: f"{self._modules} modules downloaded, {self._packages} packages compiled so far"

    def line(self, text: str) -> None:
        """Take a line of go's output."""
        if text.startswith("go: downloading "):
            self._modules += 1
        elif text and " " not in text:  # a package's path alone
            self._packages += 1


def _fault(program: Program, ended: processes.Ended, work: Path) -> Fault:
    """Say why the build failed, in go's own last words."""
    words = processes.Ended(code=ended.code, lines=tuple(line for line in ended.lines if " " in line))
    if ended.disk_full:
        return disk.full(work, need=program.need, do=cache.ELSEWHERE)
    if any(sign in line for line in ended.lines for sign in _UNREACHABLE):
        return Fault(
            where="Go's module registry",
            found=f"it can't be reached, or lacks a module:\n{words.tail()}",
            valid=f"a registry that `go` can download the modules of {program.name} from",
            do=f"check the network, HTTPS_PROXY and GOPROXY (go env GOPROXY){program.instead}",
        )
    return Fault(
        where=f"go build of {program.name}",
        found=f"it failed (exit code {ended.code}):\n{words.tail()}",
        valid="a build as go.mod and go.sum pin it",
        do="if it was killed, give the machine 4 GB of memory; otherwise restore go.mod and go.sum from git",
    )
