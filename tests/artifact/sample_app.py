"""The sample application as processes: its locked dependencies, the servers that it needs, and its roles.

What a role is told is what a recorded pod is told; only where things are is the test's own.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from simulator import cache, processes
from tests.artifact import fakes
from tests.artifact.entrance_world import PATIENCE_SECONDS, Upstream
from tests.recorder import Recording

APP: Final = Path(__file__).resolve().parents[2] / "images" / "sample-app"
INSTALLED_FROM: Final = ("package.json", "package-lock.json", ".npmrc")
NODE: Final = 20
UNREACHABLE: Final = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT"
)
MINUTES: Final = 60.0


class Unavailable(Exception):
    """Why the application can't run on this machine."""


@dataclass(frozen=True)
class Ran:
    """A program that has ended."""

    code: int
    output: str

    def counted(self, what: str) -> int:
        found = re.search(rf"^# {what} (\d+)$", self.output, re.MULTILINE)
        assert found, f"no count of {what} in:\n{self.output}"
        return int(found[1])


def application(folder: Path) -> Path:
    """A copy of the application with its dependencies, so that the tree stays as it is.

    The dependencies are one folder per lock and kind of machine, kept between runs.

    Raises:
        Unavailable: there is no Node.js, or no registry to have the dependencies from.
    """
    digest = hashlib.sha256(f"{_node()} {platform.system()} {platform.machine()}".encode())
    for name in INSTALLED_FROM:
        digest.update((APP / name).read_bytes())
    kept = cache.root() / "node" / digest.hexdigest()[:16]
    if not kept.exists():
        _install(kept)
    copy = folder / "app"
    shutil.copytree(APP, copy, ignore=shutil.ignore_patterns("node_modules"))
    (copy / "node_modules").symlink_to(kept / "node_modules")
    return copy


def application_or_skip(folder: Path) -> Path:
    """The same; skips the test where the application can't run."""
    try:
        return application(folder)
    except Unavailable as reason:
        pytest.skip(str(reason))


def npm(folder: Path, *arguments: str) -> Ran:
    """Run npm to its end."""
    lines: list[str] = []
    ended = processes.run(["npm", *arguments], cwd=folder, on_line=lines.append, timeout=5 * MINUTES)
    return Ran(ended.code, "\n".join(lines))


@contextmanager
def servers(app: Path) -> Iterator[Mapping[str, str]]:
    """A private PostgreSQL and cache; gives what the application is told of them. Skips without them."""
    with subprocess.Popen(
        ["node", "test/serve.js"], cwd=app, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline() or '{"missing": "the servers do not start"}')
        try:
            if "missing" in told:
                pytest.skip(told["missing"])
            yield {name: value for name, value in told["env"].items() if name.startswith(("PG", "REDIS_"))}
        finally:
            # The end of its input is what ends it, and the servers with it.
            process.communicate(timeout=PATIENCE_SECONDS)


class AppPod:
    """One recorded pod of the application: its variables, and its Secrets as files of a folder.

    Args:
        folder: for its files; made.
        recording: all objects.
        spec: the specification of its pod.
        services: variables that say where PostgreSQL and the cache are. The content of files among them goes
            where the platform says that such a file is.
    """

    def __init__(
        self, folder: Path, recording: Recording, spec: Mapping[str, Any], services: Mapping[str, str]
    ) -> None:
        every = [*spec.get("initContainers", []), *spec["containers"]]
        self.containers: dict[str, Any] = {container["name"]: container for container in every}
        self.services = services
        self._recording = recording
        self._volumes = {volume["name"]: folder / volume["name"] for volume in spec["volumes"]}
        for volume in spec["volumes"]:
            place = self._volumes[volume["name"]]
            place.mkdir(parents=True)
            for name, content in self._secret(volume).items():
                (place / name).write_text(content, encoding="utf-8")

    def told(self, container: str) -> dict[str, str]:
        """The variables that the platform gives a container, as recorded."""
        data: dict[str, str] = {}
        for source in self.containers[container].get("envFrom", []):
            data |= _named(self._recording, "ConfigMap", source["configMapRef"]["name"])["data"]
        return data | {each["name"]: each["value"] for each in self.containers[container].get("env", [])}

    def environment(self, container: str) -> dict[str, str]:
        """The same with the folder's paths, and with the services that there are."""
        mounts = {mount["mountPath"]: mount["name"] for mount in self.containers[container]["volumeMounts"]}
        environment = self.told(container)
        for name, value in environment.items():
            for path, volume in mounts.items():
                if value.startswith(f"{path}/"):
                    environment[name] = str(self._volumes[volume] / value.removeprefix(f"{path}/"))
        for name, value in self.services.items():
            if name in environment and Path(value).is_file():
                Path(environment[name]).write_bytes(Path(value).read_bytes())
            else:
                environment[name] = value
        return environment

    def _secret(self, volume: Mapping[str, Any]) -> dict[str, str]:
        if not (source := volume.get("secret")):
            return {}
        if not (secret := _named(self._recording, "Secret", source["secretName"])):
            return dict.fromkeys(("ca.crt", "tls.crt", "tls.key"), "cert-manager writes it")
        written = secret["stringData"]
        return dict(written.get("value", written))


def deployed(recording: Recording, workload: str) -> dict[str, Any]:
    """The specification of a workload's pods."""
    found = recording.one("kubernetes:apps/v1:Deployment", f"{workload}-deployment")
    spec: dict[str, Any] = found.inputs["spec"]["template"]["spec"]
    return spec


@contextmanager
def started(
    app: Path, arguments: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[str]]:
    """One process of the application, as its image starts it; ended with the body."""
    command = ["node", "src/main.js", *arguments]
    env = {"PATH": os.environ["PATH"], **environment}
    with (
        log.open("w", encoding="utf-8") as output,
        subprocess.Popen(command, cwd=app, env=env, stdout=output, stderr=output, text=True) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def run(app: Path, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Ran:
    """One process of the application to its end."""
    with started(app, arguments, environment, log) as process:
        return Ran(process.wait(2 * MINUTES), log.read_text(encoding="utf-8"))


@dataclass
class Copy(Upstream):
    """One copy of a role, as an upstream of the entrance."""

    metrics: int
    """The port of its metrics."""
    log: Path


@contextmanager
def copy_of(
    app: Path, arguments: Sequence[str], environment: Mapping[str, str], *, address: str, log: Path
) -> Iterator[Copy]:
    """A copy that listens on an address of the loopback, at free ports."""
    places = {"HOST": address, "PORT": "0", "METRICS_PORT": "0"}
    with started(app, arguments, {**environment, **places}, log) as process:

        def listening() -> list[Any]:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            lines = [
                line for line in log.read_text(encoding="utf-8").splitlines(True) if line.endswith("}\n")
            ]
            return [entry for entry in map(json.loads, lines) if entry["msg"] == "listening"]

        fakes.until(listening, f"{arguments[0]} to listen")
        (said,) = listening()
        yield Copy(process, (address, said["port"]), said["metricsPort"], log)


def _named(recording: Recording, kind: str, name: str) -> dict[str, Any]:
    """The recorded object of that name in the cluster; empty when somebody else makes it."""
    for resource in recording.of_type(f"kubernetes:core/v1:{kind}"):
        if resource.inputs["metadata"].get("name", f"{resource.name}-made-up") == name:
            return resource.inputs
    return {}


def _node() -> str:
    if not shutil.which("npm") or not (node := shutil.which("node")):
        raise Unavailable("node and npm are not on this machine")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < NODE:
        raise Unavailable(f"node is {version}, the application needs {NODE} or newer")
    return version


def _install(kept: Path) -> None:
    """Fill the folder; it appears whole, by a rename."""
    work = kept.with_name(f"{kept.name}.{os.getpid()}")
    work.mkdir(parents=True)
    try:
        for name in INSTALLED_FROM:
            shutil.copy(APP / name, work)
        ran = npm(work, "ci", "--no-progress", "--fetch-retries=1", "--fetch-timeout=30000")
        if ran.code and (reason := UNREACHABLE.search(ran.output)):
            raise Unavailable(f"no package registry answers: {reason[0]}")
        assert ran.code == 0, ran.output
        if not kept.exists():
            work.rename(kept)
    finally:
        shutil.rmtree(work, ignore_errors=True)
