"""The cache's pod without a cluster: its recorded objects as files, its containers in their root filesystems."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pulumi
import pytest

from components.base import Identity
from components.data.cache import Cache, CacheArgs
from components.platform.authority import Authority, AuthorityArgs
from components.platform.credentials import Credential
from components.pods import Resources
from simulator.faults import MACHINE, Fault
from simulator.images.container import USER, Bind, Container, run_in
from simulator.images.rootfs import root_filesystem
from tests.recorder import record

T = TypeVar("T")

PASSWORD = 'correct horse "battery" staple\\'
PREVIOUS = "what it was before"
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


def sign(folder: Path, authority: Path, *, names: Sequence[str] = ("localhost",)) -> None:
    """Write the files of a Kubernetes TLS Secret: a new key, its certificate, and the authority's own.

    Args:
        folder: where they go; each file appears there whole.
        authority: folder of the authority; one is made when there is none.
        names: DNS names.
    """
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    if not authority.exists():
        authority.mkdir()
        openssl(*new, "-subj", "/CN=authority", "-keyout", authority / "ca.key", "-out", authority / "ca.crt")
    made = authority / "made"
    made.mkdir(exist_ok=True)
    sign_by: list[str | Path] = ["-CA", authority / "ca.crt", "-CAkey", authority / "ca.key"]
    alternative = "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)
    openssl(*new, *sign_by, "-subj", "/CN=cache", "-addext", alternative,
            "-keyout", made / "tls.key", "-out", made / "tls.crt")  # fmt: skip
    shutil.copy(authority / "ca.crt", made)
    for file in made.iterdir():
        readable_by_the_pod(file)
        file.replace(folder / file.name)


def readable_by_the_pod(path: Path) -> None:
    """Owner and mode as the kubelet gives a Secret's file with `fsGroup` and `defaultMode: 0440`."""
    os.chown(path, 0, USER)
    path.chmod(0o750 if path.is_dir() else 0o440)


class Refused(Exception):
    """Valkey answered with an error."""


class Client:
    """A connection by the protocol's own words (RESP 2). Source: https://valkey.io/topics/protocol/"""

    def __init__(self, port: int, authority: Path, password: str | None = PASSWORD) -> None:
        context = ssl.create_default_context(cafile=str(authority / "ca.crt"))
        plain = socket.create_connection(("localhost", port), timeout=PATIENCE_SECONDS)
        try:
            self._socket = context.wrap_socket(plain, server_hostname="localhost")
        except OSError:
            plain.close()
            raise
        self._reader = self._socket.makefile("rb")
        if password is not None:
            self("AUTH", password)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()
        self._socket.close()

    def __call__(self, *command: str | bytes | int) -> Any:
        """Send a command and return its answer.

        Raises:
            Refused: the answer is an error.
            OSError: the connection broke.
        """
        self.send(*command)
        return self.receive()

    def send(self, *command: str | bytes | int) -> None:
        words = [word if isinstance(word, bytes) else str(word).encode() for word in command]
        self._socket.sendall(
            b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        )

    def receive(self) -> Any:
        line = self._reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError("the connection ended")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"-":
            raise Refused(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == "-1" else self._reader.read(int(rest) + 2)[:-2].decode()
        if kind == b"*":
            return [self.receive() for _ in range(int(rest))]
        return rest

    def info(self, section: str) -> dict[str, str]:
        lines = self("INFO", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def certificate(self) -> bytes:
        shown = self._socket.getpeercert(binary_form=True)
        assert shown is not None
        return shown


class CachePod:
    """One cache's pod.

    Args:
        folder: for its volumes and logs.
        memory_limit: of the container `valkey`.
    """

    def __init__(self, folder: Path, memory_limit: str = "256Mi") -> None:
        self.folder = folder
        self.port, self.metrics_port = free_port(), free_port()
        self.authority = folder / "authority"
        self.volumes = {name: folder / name for name in ("config", "secrets", "tls", "data")}
        for volume in self.volumes.values():
            volume.mkdir()
        self._record(memory_limit)
        for name in ("secrets", "tls"):
            readable_by_the_pod(self.volumes[name])
        os.chown(self.volumes["data"], USER, USER)
        sign(self.volumes["tls"], self.authority)

    def _record(self, memory_limit: str) -> None:
        recording = record(lambda: Cache("cache", self._args(memory_limit)) and None)
        stateful_set = recording.one("kubernetes:apps/v1:StatefulSet", "cache-stateful-set").inputs
        spec = stateful_set["spec"]["template"]["spec"]
        self.containers: dict[str, Any] = {container["name"]: container for container in spec["containers"]}
        self.grace_seconds: int = spec["terminationGracePeriodSeconds"]
        data = recording.one("kubernetes:core/v1:ConfigMap", "cache-config").inputs["data"]
        for name, content in data.items():
            (self.volumes["config"] / name).write_text(content)
        secret = recording.one("kubernetes:core/v1:Secret", "cache-secrets").inputs["stringData"]["value"]
        for name, content in secret.items():
            self.write_secret(name, content)

    def _args(self, memory_limit: str) -> CacheArgs:
        identity = Identity(product="fixia", environment="test", owner="o", cost_centre="c")
        return CacheArgs(
            identity=identity,
            namespace="fixia-data",
            image="valkey",
            exporter_image="redis-exporter",
            resources=Resources(cpu="250m", memory=memory_limit, memory_limit=memory_limit),
            storage="1Gi",
            password=Credential(
                current=pulumi.Output.secret(PASSWORD), accepted={"previous": pulumi.Output.secret(PREVIOUS)}
            ),
            authority=Authority("authority", AuthorityArgs(identity=identity)),
            port=self.port,
            metrics_port=self.metrics_port,
        )

    def write_secret(self, name: str, content: str) -> None:
        """Write one file of the Secret anew."""
        file = self.volumes["secrets"] / f".{name}"
        file.write_text(content)
        readable_by_the_pod(file)
        file.replace(self.volumes["secrets"] / name)

    def log(self, container: str = "valkey") -> str:
        return (self.folder / f"{container}.log").read_text()

    @contextmanager
    def run(self, name: str = "valkey", *more: str, command: Sequence[str] = ()) -> Iterator[Container]:
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
            if mount["name"] != "tmp"
        ]
        with run_in(
            system(container["image"]),
            [*(container.get("command") or command), *more],
            binds=binds,
            env={variable["name"]: variable["value"] for variable in container.get("env", [])},
            output=self.folder / f"{name}.log",
            grace=self.grace_seconds,
        ) as running:
            yield running

    @contextmanager
    def serving(self, *more: str) -> Iterator[tuple[Container, Client]]:
        """Run Valkey, ready, with one client."""
        with ExitStack() as stack:
            valkey = stack.enter_context(self.run("valkey", *more))
            yield valkey, stack.enter_context(self.connected(valkey))

    def connected(self, valkey: Container) -> Client:
        """A client, once Valkey takes one and has loaded its data."""

        def connect() -> Client | None:
            assert valkey.poll() is None, self.log()
            try:
                client = Client(self.port, self.authority)
            except ConnectionError:
                return None
            if client.info("persistence")["loading"] == "0":
                return client
            client.close()
            return None

        return eventually(connect, "Valkey is ready")

    def probe(self, valkey: Container, kind: str) -> tuple[int, str]:
        """Run one of the probes' commands: its exit code and what it said."""
        probe = self.containers["valkey"][f"{kind}Probe"]
        ended = valkey.execute(probe["exec"]["command"], timeout=probe["timeoutSeconds"])
        return ended.code, "\n".join(ended.lines)
