"""Stand-ins for what a machine has or lacks: a go, a pulumi, a package index; and real processes over them."""

import base64
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0
NOWHERE = "http://127.0.0.1:1"  # nothing listens there: whatever is sent through it fails at once

WRITE_ENGINE = """\
    while [ "$1" != -o ]; do shift; done
    printf '#!/bin/sh\\necho v3.256.0\\n' > "$2"
    chmod +x "$2"
"""


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}", encoding="utf-8")
    path.chmod(0o755)
    return path


def wheel(
    folder: Path, name: str, version: str, *, needs: str = "", files: Mapping[str, str] | None = None
) -> str:
    """Write a wheel; files whose name ends in /go are programs. Return its sha256."""
    info = f"{name}-{version}.dist-info"
    content = {f"{name}/__init__.py": "", **(files or {})}
    requirement = f"Requires-Dist: {needs}\n" if needs else ""
    content[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requirement}"
    content[f"{info}/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    content[f"{info}/RECORD"] = "".join(
        f"{path},{_digest(text)},{len(text)}\n" for path, text in content.items()
    )
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in content.items():
            entry = zipfile.ZipInfo(inside)
            entry.external_attr = (0o100755 if inside.endswith("/go") else 0o100644) << 16
            archive.writestr(entry, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def go_script(notes: Path, version: str, build: str) -> str:
    """Return the body of a `go` that notes its environment and process, fills its caches, and runs `build`."""
    return f"""\
case "$1" in
version) echo "go version go{version} linux/amd64" ;;
env) echo '{{"GOPROXY": "https://modules.example.invalid", "GOSUMDB": ""}}' ;;
build)
    env > {notes}/environment
    mkdir -p "$GOMODCACHE" "$GOCACHE"
    echo big > "$GOMODCACHE/module"
    echo $$ >> {notes}/builds
{build} ;;
esac
"""


class Machine:
    """A machine of its own: PATH, home, cache and notes of what ran."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.home, self.cache, self.notes = (
            folder / name for name in ("bin", "home", "cache", "notes")
        )
        for made in (self.bin, self.home, self.notes):
            made.mkdir()
        for tool in ("sh", "env", "mkdir", "chmod", "sleep"):
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)
        self.environment = {
            "PATH": str(self.bin),
            "HOME": str(self.home),
            "FIXIA_CACHE": str(self.cache),
            "https_proxy": NOWHERE,
            "PIP_NO_INDEX": "1",
        }

    @property
    def release(self) -> Path:
        return self.cache / "engine" / "v3.256.0"

    @property
    def builds(self) -> list[int]:
        """The process ids of the builds so far."""
        notes = self.notes / "builds"
        return [int(line) for line in notes.read_text().split()] if notes.exists() else []

    def go(self, build: str = WRITE_ENGINE, version: str = "1.26.8") -> None:
        script(self.bin / "go", go_script(self.notes, version, build))

    def slow_go(self) -> Path:
        """Put a go on PATH that builds until the returned file exists."""
        go_on = self.notes / "go-on"
        self.go(f"    while [ ! -e {go_on} ]; do sleep 0.05; done\n{WRITE_ENGINE}")
        return go_on

    @contextmanager
    def start(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        with started(
            [sys.executable, *(arguments or ("-m", "simulator.engine"))], self.environment, ROOT
        ) as process:
            yield process

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments) as process:
            return finish(process)


@contextmanager
def started(command: list[str], environment: Mapping[str, str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, env=environment, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()  # it ends its own children, which a kill would leave
                try:
                    process.wait(PATIENCE_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and that nobody has asked after does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end(pid: int) -> None:
    """End one process of ours and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid), f"the end of process {pid}")


@contextmanager
def tiny_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a small file system; needs root."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def may_mount() -> bool:
    """Tell whether this user may mount a file system; root in a container often may not."""
    if os.geteuid() or not shutil.which("mount") or sys.platform != "linux":
        return False
    test = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]
    try:
        return subprocess.run(test, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
