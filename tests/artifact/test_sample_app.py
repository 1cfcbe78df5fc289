"""The sample application, by its own tests: its dependencies as locked, real servers where they can run."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulator import cache, processes

APP = Path(__file__).resolve().parents[2] / "images" / "sample-app"
INSTALLED_FROM = ("package.json", "package-lock.json", ".npmrc")
NODE = 20
UNREACHABLE = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT"
)
SKIPPED = re.compile(r"^\s*ok \d+ - .*# SKIP (?P<reason>.+)$", re.MULTILINE)
MINUTES = 60.0
UNITS = len(re.findall(r"^test\(", (APP / "test" / "unit.test.js").read_text(encoding="utf-8"), re.MULTILINE))


@dataclass(frozen=True)
class Ran:
    code: int
    output: str

    def counted(self, what: str) -> int:
        found = re.search(rf"^# {what} (\d+)$", self.output, re.MULTILINE)
        assert found, f"no count of {what} in:\n{self.output}"
        return int(found[1])


@pytest.fixture(scope="module")
def modules() -> Path:
    """The folder of the locked dependencies: one per lock and kind of machine, kept between runs."""
    digest = hashlib.sha256(f"{_node()} {platform.system()} {platform.machine()}".encode())
    for name in INSTALLED_FROM:
        digest.update((APP / name).read_bytes())
    kept = cache.root() / "node" / digest.hexdigest()[:16]
    if not kept.exists():
        _install(kept)
    return kept / "node_modules"


@pytest.fixture
def npm(modules: Path, tmp_path: Path) -> Callable[..., Ran]:
    """Runs npm in a copy of the application, so that the tree stays as it is."""
    copy = tmp_path / "app"
    shutil.copytree(APP, copy, ignore=shutil.ignore_patterns("node_modules"))
    (copy / "node_modules").symlink_to(modules)
    return lambda *arguments: _npm(copy, *arguments)


def test_the_application_alone_and_with_real_servers(npm: Callable[..., Ran]) -> None:
    ran = npm("test")
    assert ran.code == 0, ran.output
    assert ran.counted("fail") == ran.counted("cancelled") == ran.counted("todo") == 0
    assert ran.counted("pass") >= UNITS, ran.output
    if reasons := {skip["reason"] for skip in SKIPPED.finditer(ran.output)}:
        pytest.skip(f"{ran.counted('pass')} passed, without servers: {'; '.join(sorted(reasons))}")
    assert ran.counted("pass") == ran.counted("tests") > UNITS


def test_the_types(npm: Callable[..., Ran]) -> None:
    ran = npm("run", "types")
    assert ran.code == 0, ran.output


def _node() -> str:
    if not shutil.which("npm") or not (node := shutil.which("node")):
        pytest.skip("node and npm are not on this machine")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < NODE:
        pytest.skip(f"node is {version}, the application needs {NODE} or newer")
    return version


def _install(kept: Path) -> None:
    """Fill the folder; it appears whole, by a rename."""
    work = kept.with_name(f"{kept.name}.{os.getpid()}")
    work.mkdir(parents=True)
    try:
        for name in INSTALLED_FROM:
            shutil.copy(APP / name, work)
        ran = _npm(work, "ci", "--no-progress", "--fetch-retries=1", "--fetch-timeout=30000")
        if ran.code and (reason := UNREACHABLE.search(ran.output)):
            pytest.skip(f"no package registry answers: {reason[0]}")
        assert ran.code == 0, ran.output
        if not kept.exists():
            work.rename(kept)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _npm(folder: Path, *arguments: str) -> Ran:
    lines: list[str] = []
    ended = processes.run(["npm", *arguments], cwd=folder, on_line=lines.append, timeout=5 * MINUTES)
    return Ran(ended.code, "\n".join(lines))
