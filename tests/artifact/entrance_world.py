"""The real Traefik with the generated configuration and objects, before real upstreams, on the loopback.

The API server is a stand-in that serves the very objects that the program makes. Of the configuration only the
addresses, the folder and, where a test would take minutes, the times are the test's own.
"""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from components.base import Identity
from components.ingress import traefik_config
from components.ingress.access import CLUSTER_RULES, NAMESPACE_RULES
from components.ingress.entrance import CONTROLLER
from components.ingress.route import CLASS_NAME, RateLimit, Route, sticky_annotations
from components.ingress.routes import Routes, RoutesArgs
from components.ingress.traefik_config import Listening
from components.network import Endpoint
from simulator.golang.install import kept
from simulator.programs import registry
from tests.artifact import fakes
from tests.artifact.fake_api_server import FakeApiServer
from tests.recorder import record

NAMESPACE: Final = "fixia-app"
PROXY: Final = "127.0.0.1"
"""The one trusted peer of the tests; the rest of 127.0.0.0/8 is not trusted."""
CLIENT: Final = "203.0.113.7"
PATIENCE_SECONDS: Final = 60.0
IDENTITY: Final = Identity(product="fixia", environment="test", owner="tests", cost_centre="tests")


def _route(name: str, **particulars: Any) -> Route:
    backend = Endpoint(name=name, namespace=NAMESPACE, pods={"app.kubernetes.io/name": name}, port=3000)
    return Route(name=name, host=f"{name}.test", backend=backend, service=name, **particulars)


ROUTES: Final = (
    _route("api", rate_limit=RateLimit(), max_body_bytes=1000),
    _route("site", content_security_policy="default-src 'self'"),
    _route("ws", hidden="/text"),
)


def traefik() -> Path:
    """The program, if it is there or may be built; else the test is skipped."""
    if found := kept(registry.PROGRAMS["traefik"]):
        return found
    if os.environ.get("FIXIA_TEST_BUILD") != "1":
        pytest.skip(
            "no Traefik, and it builds for minutes: `make test-build`, or python -m simulator.programs traefik"
        )
    return registry.traefik()


Pod = tuple[str, int]
"""Address and port. Traefik tells pods apart by their addresses alone."""


@dataclass
class Upstream:
    """One copy of the application."""

    process: subprocess.Popen[str]
    pod: "Pod"

    def stop(self) -> int:
        """Ask it to stop, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def upstream(name: str) -> Iterator[Upstream]:
    address = {"first": "127.0.1.1", "second": "127.0.1.2"}[name]
    command = [sys.executable, str(Path(__file__).with_name("upstream.py")), name, address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Upstream(process, (address, int(process.stdout.readline())))
        finally:
            process.kill()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def told(self) -> Any:
        """What the application says of itself and of the request."""
        return json.loads(self.body)


@dataclass
class World:
    """A running entrance."""

    folder: Path
    ports: Mapping[str, int]
    process: subprocess.Popen[bytes]
    api: FakeApiServer
    authority: Path
    direct: bool
    client_certificate: tuple[Path, Path] | None = None
    _contexts: dict[str, ssl.SSLContext] = field(default_factory=dict)

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority))
        if self.client_certificate:
            context.load_cert_chain(*self.client_certificate)
        return context

    def connect(
        self, host: str, *, peer: str = PROXY, context: ssl.SSLContext | None = None
    ) -> ssl.SSLSocket:
        plain = socket.create_connection(
            (PROXY, self.ports["websecure"]), timeout=PATIENCE_SECONDS, source_address=(peer, 0)
        )
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as http.client's own connections have
        return (context or self.context()).wrap_socket(plain, server_hostname=host)

    @contextmanager
    def connection(self, host: str, peer: str = PROXY) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection(host)
        connection.sock = self.connect(host, peer=peer)
        with contextlib.closing(connection):
            yield connection

    def ask(self, host: str, path: str = "/", *, peer: str = PROXY, **request: Any) -> Answer:
        """One request on a connection of its own, through the trusted proxy unless told."""
        with self.connection(host, peer) as connection:
            return asked(connection, path, **request)

    def plain(self, entry_point: str, path: str, host: str = "site.test") -> Answer:
        """One request without TLS."""
        connection = http.client.HTTPConnection(PROXY, self.ports[entry_point], timeout=PATIENCE_SECONDS)
        with contextlib.closing(connection):
            return asked(connection, path, headers={"Host": host})

    def metrics(self) -> str:
        return self.plain("metrics", "/metrics").body.decode()

    def reloads(self) -> int:
        found = re.search(r"^traefik_config_reloads_total (\d+)", self.metrics(), re.MULTILINE)
        return int(found[1]) if found else 0

    def access_log(self) -> list[dict[str, Any]]:
        lines = (self.folder / "traefik.log").read_text().splitlines()
        entries = [json.loads(line) for line in lines if line.startswith("{")]
        return [entry for entry in entries if "DownstreamStatus" in entry]

    def endpoints(self, service: str, pods: Sequence[Pod], terminating: Sequence[Pod] = ()) -> None:
        """Say which are the service's pods, as the cluster does, and wait until Traefik has taken it in."""
        before = self.reloads()
        put_endpoints(self.api, service, pods, terminating)
        fakes.until(lambda: self.reloads() > before, "the new endpoints")


def asked(
    connection: http.client.HTTPConnection,
    path: str = "/",
    *,
    method: str = "GET",
    client: str | None = CLIENT,
    headers: Mapping[str, str] | None = None,
    body: bytes | Iterator[bytes] | None = None,
) -> Answer:
    """One request on an open connection, as a proxy sends it that says who the client is."""
    sent = {**({"X-Forwarded-For": client} if client else {}), **(headers or {})}
    connection.request(method, path, body=body, headers=sent, encode_chunked=not isinstance(body, bytes))
    answer = connection.getresponse()
    return Answer(answer.status, answer.headers, answer.read())


def certificate(folder: Path, name: str, hosts: Sequence[str]) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(cert)]
    command += ["-addext", "subjectAltName=" + ",".join(f"DNS:{host}" for host in hosts)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def kubelet_writes(folder: Path, files: Mapping[str, str]) -> None:
    """Write a projected volume as the kubelet does: a new folder, and one rename of a link to it."""
    folder.mkdir(exist_ok=True)
    generation = folder / f"..{len(list(folder.glob('..*')))}"
    generation.mkdir()
    for name, text in files.items():
        (generation / name).write_text(text)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path("..data") / name)
    (folder / "..data_tmp").symlink_to(generation.name)
    (folder / "..data_tmp").rename(folder / "..data")


def put_endpoints(
    api: FakeApiServer, service: str, pods: Sequence[Pod], terminating: Sequence[Pod] = ()
) -> None:
    # One slice for each address, because every pod here has a port of its own.
    ready = dict.fromkeys(pods, True) | dict.fromkeys(terminating, False)
    for address in ("127.0.1.1", "127.0.1.2", "127.0.1.3"):
        found = [(pod, good) for pod, good in ready.items() if pod[0] == address]
        endpoints = [
            {
                "addresses": [address],
                "conditions": {"ready": good, "serving": True, "terminating": not good},
            }
            for _, good in found
        ]
        api.put(
            "endpointslices",
            "EndpointSlice",
            "discovery.k8s.io/v1",
            {
                "metadata": {
                    "name": f"{service}-{address}",
                    "namespace": NAMESPACE,
                    "labels": {"kubernetes.io/service-name": service},
                },
                "addressType": "IPv4",
                "endpoints": endpoints,
                "ports": [{"name": "http", "port": pod[1], "protocol": "TCP"} for pod, _ in found],
            },
        )


def fill(api: FakeApiServer, pods: Sequence[Pod]) -> None:
    """The objects that the program makes, and those that the cluster makes of them."""
    recording = record(lambda: Routes("routes", RoutesArgs(identity=IDENTITY, routes=ROUTES)) and None)
    for made in recording.of_type("kubernetes:networking.k8s.io/v1:Ingress"):
        api.put("ingresses", "Ingress", "networking.k8s.io/v1", made.inputs)
    api.put(
        "ingressclasses",
        "IngressClass",
        "networking.k8s.io/v1",
        {"metadata": {"name": CLASS_NAME}, "spec": {"controller": CONTROLLER}},
    )
    for route in ROUTES:
        sticky = sticky_annotations() if route.name == "ws" else {}
        service = {
            "metadata": {"name": route.name, "namespace": NAMESPACE, "annotations": sticky},
            "spec": {"type": "ClusterIP", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
        }
        api.put("services", "Service", "v1", service)
        put_endpoints(api, route.name, pods)


@contextmanager
def world(
    program: Path,
    folder: Path,
    upstreams: Sequence[Upstream],
    *,
    direct: bool = False,
    client_authority: bool = False,
    removal_seconds: int = 1,
    drain_seconds: int = 20,
    timeout_seconds: int = 60,
) -> Iterator[World]:
    """Start an entrance before some upstreams and wait until it serves every route."""
    folder.mkdir(parents=True, exist_ok=True)
    trusted = [] if direct else [f"{PROXY}/32"]
    ports = dict(zip(("web", "websecure", "ping", "metrics"), free_ports(4), strict=True))
    cert, key = certificate(folder, "first", [route.host for route in ROUTES])
    files = {
        "routes.yaml": traefik_config.dynamic(
            ROUTES,
            trusted_ranges=trusted,
            certificates=1,
            client_authority=client_authority,
            folder=str(folder / "dynamic"),
        )
    }
    files |= {
        name: path.read_text()
        for name, path in zip(traefik_config.certificate_files(0), (cert, key), strict=True)
    }
    if client_authority:
        files[traefik_config.client_authority_file()] = cert.read_text()
    kubelet_writes(folder / "dynamic", files)
    static = traefik_config.static(
        namespaces=[NAMESPACE],
        trusted_ranges=trusted,
        dynamic_folder=str(folder / "dynamic"),
        listening=Listening(
            addresses={name: f"{PROXY}:{port}" for name, port in ports.items()},
            removal_seconds=removal_seconds,
            drain_seconds=drain_seconds,
            timeout_seconds=timeout_seconds,
        ),
    )
    (folder / "traefik.yaml").write_text(static)
    with FakeApiServer() as api:
        fill(api, [one.pod for one in upstreams])
        with running(program, folder, api) as process:
            here = World(folder, ports, process, api, cert, direct)
            if client_authority:
                here.client_certificate = (cert, key)
            fakes.until(
                lambda: serves(here, [route.host for route in ROUTES]),
                f"the entrance; its log is {folder / 'traefik.log'}",
            )
            yield here


@contextmanager
def running(program: Path, folder: Path, api: FakeApiServer) -> Iterator[subprocess.Popen[bytes]]:
    """Traefik with the static configuration that is in the folder."""
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": api.address}}],
        "users": [{"name": "test", "user": {"token": "test"}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(kubeconfig))
    environment = {"PATH": "", "HOME": str(folder), "TMPDIR": str(folder)}
    environment["KUBECONFIG"] = str(folder / "kubeconfig")
    command = [str(program), f"--configFile={folder / 'traefik.yaml'}"]
    with (
        (folder / "traefik.log").open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def serves(here: World, hosts: Sequence[str], path: str = "/") -> bool:
    """Whether every host answers there."""
    assert here.process.poll() is None, (here.folder / "traefik.log").read_text()
    try:
        return all(here.ask(host, path).status == 200 for host in hosts)
    except OSError:
        return False


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server((PROXY, 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in held]


def granted() -> set[tuple[str, str, str, str]]:
    """The calls that the entrance's roles allow, in the test's one namespace."""
    return {
        (verb, group, resource, namespace)
        for rules, namespace in ((CLUSTER_RULES, ""), (NAMESPACE_RULES, NAMESPACE))
        for group, resources in rules.items()
        for resource in resources
        for verb in ("list", "watch")
    }
