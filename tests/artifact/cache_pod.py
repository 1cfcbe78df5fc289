"""The cache's pod without a cluster, and a client of the cache."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pulumi

from components.base import Identity
from components.data.cache import Cache, CacheArgs
from components.platform.authority import Authority, AuthorityArgs
from components.platform.credentials import Credential
from components.pods import Resources
from simulator.images.container import Container
from tests.artifact.pod import PATIENCE_SECONDS, RecordedPod, eventually, free_port, sign
from tests.recorder import record

PASSWORD = 'correct horse "battery" staple\\'
PREVIOUS = "what it was before"
ROOT = ("--user", "root", "on", ">everything", "~*", "&*", "+@all")
"""For Valkey's command line: a user of the test's own, which may do what no user of the cache may."""


class Refused(Exception):
    """Valkey answered with an error."""


class Client:
    """A connection by the protocol's own words (RESP 2). Source: https://valkey.io/topics/protocol/"""

    def __init__(
        self, port: int, authority: Path, password: str | None = PASSWORD, user: str | None = None
    ) -> None:
        context = ssl.create_default_context(cafile=str(authority / "ca.crt"))
        plain = socket.create_connection(("localhost", port), timeout=PATIENCE_SECONDS)
        try:
            self._socket = context.wrap_socket(plain, server_hostname="localhost")
        except OSError:
            plain.close()
            raise
        self._reader = self._socket.makefile("rb")
        if password is not None:
            self("AUTH", *([user] if user else []), password)

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


class CachePod(RecordedPod):
    """One cache's pod.

    Args:
        folder: for its volumes and logs.
        memory_limit: of the container `valkey`.
    """

    def __init__(self, folder: Path, memory_limit: str = "256Mi") -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self.authority = folder / "authority"
        recording = record(lambda: Cache("cache", self._args(memory_limit)) and None)
        stateful_set = recording.one("kubernetes:apps/v1:StatefulSet", "cache-stateful-set").inputs
        super().__init__(folder, recording, stateful_set["spec"]["template"]["spec"])
        sign(self.volumes["tls"], self.authority)

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

    @contextmanager
    def serving(self, *more: str) -> Iterator[tuple[Container, Client]]:
        """Run Valkey, ready, with one client."""
        with self.run("users") as users:
            assert users.wait(PATIENCE_SECONDS) == 0, self.log("users")
        with ExitStack() as stack:
            valkey = stack.enter_context(self.run("valkey", *more))
            yield valkey, stack.enter_context(self.connected(valkey))

    def client(self, user: str) -> Client:
        """A client that is one of the pod's own users, by the password that the pod made, or `ROOT`."""
        if user == "root":
            password = "everything"
        elif user == "operator":
            password = (self.volumes["operator"] / "password").read_text()
        else:
            (password,) = json.loads((self.volumes["exporter"] / "exporter.json").read_text()).values()
        return Client(self.port, self.authority, password, user)

    def connected(self, valkey: Container) -> Client:
        """A client, once Valkey takes one and has loaded its data."""

        def connect() -> Client | None:
            assert valkey.poll() is None, self.log("valkey")
            try:
                client = Client(self.port, self.authority)
            except ConnectionError:
                return None
            if client.info("persistence")["loading"] == "0":
                return client
            client.close()
            return None

        return eventually(connect, "Valkey is ready")
