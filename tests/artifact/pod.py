"""A pod without a cluster: its recorded objects as files, its containers in their root filesystems."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from simulator.faults import MACHINE, Fault
from simulator.images.container import USER, Bind, Container, run_in
from simulator.images.rootfs import root_filesystem
from tests.recorder import Recording

T = TypeVar("T")

PATIENCE_SECONDS = 30.0


def system(image: str) -> Path:
    """The image's root filesystem; skips where none can be made, and only there."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("root filesystems are made and entered as root, on Linux")
    try:
        return root_filesystem(image)
    except Fault as fault:
        if fault.exit_code == MACHINE and not str(fault).startswith("mmdebstrap: it failed"):
            pytest.skip(str(fault))
        raise


def eventually(ask: Callable[[], T | None], what: str, patience: float = PATIENCE_SECONDS) -> T:
    """The first answer that means yes."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if answer := ask():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not within {patience:.0f} seconds: {what}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def sign(
    folder: Path, authority: Path, *, names: Sequence[str] = ("localhost",), subject: str = "leaf"
) -> None:
    """Write the files of a Kubernetes TLS Secret: a new key, its certificate, and the authority's own.

    Args:
        folder: where they go; each file appears there whole.
        authority: folder of the authority; one is made when there is none.
        names: DNS names and addresses.
        subject: its common name.
    """
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    if not authority.exists():
        authority.mkdir()
        openssl(*new, "-subj", "/CN=authority", "-keyout", authority / "ca.key", "-out", authority / "ca.crt")
    made = authority / "made"
    made.mkdir(exist_ok=True)
    sign_by: list[str | Path] = ["-CA", authority / "ca.crt", "-CAkey", authority / "ca.key"]
    alternative = "subjectAltName=" + ",".join(
        f"{'IP' if name[0].isdecimal() else 'DNS'}:{name}" for name in names
    )
    openssl(*new, *sign_by, "-subj", f"/CN={subject}", "-addext", alternative,
            "-keyout", made / "tls.key", "-out", made / "tls.crt")  # fmt: skip
    shutil.copy(authority / "ca.crt", made)
    for file in made.iterdir():
        readable_by_the_pod(file)
        file.replace(folder / file.name)


def readable_by_the_pod(path: Path) -> None:
    """Owner and mode as the kubelet gives a Secret's file with `fsGroup` and `defaultMode: 0440`."""
    os.chown(path, 0, USER)
    path.chmod(0o750 if path.is_dir() else 0o440)


class RecordedPod:
    """One pod, as one of the recorded workloads describes it.

    Its volumes are folders: those of ConfigMaps and Secrets hold the recorded files (a Secret that
    somebody else writes, such as cert-manager, is empty), all others belong to the pod's user.

    Args:
        folder: for its volumes and logs.
        recording: all objects.
        spec: the specification of its pod.
    """

    def __init__(self, folder: Path, recording: Recording, spec: dict[str, Any]) -> None:
        self.folder = folder
        every = [*spec["containers"], *spec.get("initContainers", [])]
        self.containers: dict[str, Any] = {container["name"]: container for container in every}
        self.grace_seconds: int = spec["terminationGracePeriodSeconds"]
        self.volumes: dict[str, Path] = {}
        for volume in spec["volumes"]:
            if volume["name"] != "tmp":  # of each container its own: see `run_in`
                self.volumes[volume["name"]] = folder / volume["name"]
                self._fill(volume, recording)

    def _fill(self, volume: dict[str, Any], recording: Recording) -> None:
        place = self.volumes[volume["name"]]
        place.mkdir()
        if source := volume.get("configMap"):
            missing: dict[str, Any] = {"data": {}} if source.get("optional") else {}
            for name, content in (_object(recording, "ConfigMap", source["name"]) or missing)["data"].items():
                (place / name).write_text(content)
        elif source := volume.get("secret"):
            readable_by_the_pod(place)
            written = _object(recording, "Secret", source["secretName"]).get("stringData", {})
            for name, content in written.get("value", written).items():
                if name in [item["key"] for item in source.get("items", [{"key": name}])]:
                    self.write_secret(name, content, volume=volume["name"])
        else:
            os.chown(place, USER, USER)

    def write_secret(self, name: str, content: str, *, volume: str = "secrets") -> None:
        """Write one file of a Secret anew."""
        file = self.volumes[volume] / f".{name}"
        file.write_text(content)
        readable_by_the_pod(file)
        file.replace(self.volumes[volume] / name)

    def log(self, container: str) -> str:
        return (self.folder / f"{container}.log").read_text()

    @contextmanager
    def run(self, name: str, *more: str, command: Sequence[str] = ()) -> Iterator[Container]:
        """Run one of the pod's containers as the kubelet would.

        Args:
            name: the container's name.
            more: further arguments.
            command: what to run when the pod leaves that to its image.
        """
        container = self.containers[name]
        binds = [
            Bind(
                source=self.volumes[mount["name"]],
                target=mount["mountPath"],
                writable=not mount.get("readOnly"),
            )
            for mount in container["volumeMounts"]
            if mount["mountPath"] not in ("/tmp", "/dev/shm")  # see `run_in`
        ]
        with run_in(
            system(container["image"]),
            [*(container.get("command") or command), *container.get("args", []), *more],
            binds=binds,
            env={variable["name"]: variable["value"] for variable in container.get("env", [])},
            output=self.folder / f"{name}.log",
            grace=self.grace_seconds,
        ) as running:
            yield running

    def probe(self, name: str, running: Container, kind: str) -> tuple[int, str]:
        """Run the command of one of a container's probes: its exit code and what it said."""
        probe = self.containers[name][f"{kind}Probe"]
        ended = running.execute(probe["exec"]["command"], timeout=probe["timeoutSeconds"])
        return ended.code, "\n".join(ended.lines)


def _object(recording: Recording, kind: str, name: str) -> dict[str, Any]:
    """The recorded object of that name in the cluster; empty when somebody else makes it."""
    for resource in recording.of_type(f"kubernetes:core/v1:{kind}"):
        if resource.inputs["metadata"].get("name", f"{resource.name}-made-up") == name:
            return resource.inputs
    return {}
