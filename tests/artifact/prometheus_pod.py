"""Prometheus' pod without a cluster, and the small world that it watches: an API server, a node, targets.

All of it listens on the loopback, over TLS where the real ones do. Of the configuration only the times are the
test's own: what takes half a minute there takes two seconds here.
"""

import base64
import contextlib
import json
import socket
import ssl
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch
from urllib.parse import quote

import pulumi

from components.base import Identity
from components.monitoring.access import web_config
from components.monitoring.prometheus import Prometheus, PrometheusArgs
from components.monitoring.prometheus_config import Probe
from components.network import Addresses, Endpoint, endpoint
from components.platform.authority import Authority, AuthorityArgs
from components.pods import Resources
from components.watch import Watch
from simulator.images import container
from simulator.images.container import Bind, Container
from tests.artifact.fake_api_server import Call, FakeApiServer, Object
from tests.artifact.pod import PATIENCE_SECONDS, RecordedPod, eventually, free_port, sign
from tests.recorder import Recording, record

IDENTITY: Final = Identity(product="fixia", environment="test", owner="tests", cost_centre="tests")
NAMESPACE: Final = "fixia-monitoring"
TOKEN: Final = "a-token-of-the-account"
PASSWORD: Final = "r" * 40
"""What the recorder gives as every made password."""
HASH: Final = "$2a$10$abcdefghijklmnopqrstuuNobexzqLuryvPseZyV5BcM70ZGGS3um"
"""Of it, by bcrypt."""
THEIRS: Final = "the-alertmanagers-password"

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
RESOLVER: Final = "127.0.77.53"


class Server:
    """Answers GET and POST on one address of the loopback, and notes what it was told.

    Args:
        answer: path and headers -> status and text.
        tls: the folder of its certificate; plain HTTP without one.
        address: where; a port of 0 is any.
    """

    def __init__(
        self,
        answer: Callable[[str, Mapping[str, str]], tuple[int, str]],
        tls: Path | None = None,
        address: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self.told: list[Any] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, text = answer(self.path, self.headers)  # type: ignore[arg-type]
                self.send_response(status)
                self.send_header("Content-Type", TEXT)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, _ = answer(self.path, self.headers)  # type: ignore[arg-type]
                if status == 200:
                    server.told.append(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the base class's name
                pass

        self._server = ThreadingHTTPServer(address, Handler)
        self._server.daemon_threads = True
        if tls:
            encrypt(self._server, tls)
        self.port: int = self._server.server_port

    def __enter__(self) -> "Server":
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def encrypt(server: ThreadingHTTPServer, tls: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)


def basic(headers: Mapping[str, str], password: str) -> bool:
    """Whether somebody shows the password of the user `platform`."""
    shown = base64.b64encode(f"platform:{password}".encode()).decode()
    return headers.get("Authorization") == f"Basic {shown}"


class ApiServer(FakeApiServer):
    """The stand-in, over TLS as an account's client demands it, and of a version."""

    def __init__(self, tls: Path) -> None:
        super().__init__()
        encrypt(self._server, tls)
        self.port: int = self._server.server_port

    def __enter__(self) -> "ApiServer":
        super().__enter__()
        return self

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        status, told = 200, {"major": "1", "minor": "35", "gitVersion": "v1.35.0"}
        if "sendInitialEvents" in handler.path:  # older servers refuse it so, and clients then list
            status, told = (
                422,
                {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid"},
            )
        elif handler.path != "/version":
            # All namespaces are no namespace's.
            handler.path = handler.path.replace("/v1/namespaces?", "/v1/namespaces//namespaces?")
            super().answer(handler)
            return
        body = json.dumps({**told, "code": status}).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def put(self, resource: str, kind: str, api_version: str, inputs: Object) -> None:
        """As ever; who asks for a kind in the whole cluster gets it too, as it was when it asked."""
        super().put(resource, kind, api_version, inputs)
        place = (inputs["metadata"].get("namespace", ""), inputs["metadata"]["name"])
        if place[0]:
            with self._lock:
                there = self._objects[resource]
                there["", "/".join(place)] = there[place]

    def pod(
        self,
        name: str,
        endpoint: Endpoint,
        *,
        address: str = "127.0.0.1",
        phase: str = "Running",
        node: str = "node-1",
        **changes: Any,
    ) -> None:
        """A pod that an endpoint selects, unless something is changed: `labels`, `port`, `namespace`."""
        labels = changes.get("labels", dict(endpoint.pods))
        ports = [{"name": "any", "containerPort": changes.get("port", endpoint.port), "protocol": "TCP"}]
        self.put(
            "pods",
            "Pod",
            "v1",
            {
                "metadata": {
                    "name": name,
                    "namespace": changes.get("namespace", endpoint.namespace),
                    "labels": labels,
                },
                "spec": {"nodeName": node, "containers": [{"name": "one", "image": "i", "ports": ports}]},
                "status": {"phase": phase, "podIP": address, "podIPs": [{"ip": address}]},
            },
        )

    def node(self, name: str, port: int) -> None:
        """A node whose kubelet listens at that port of the loopback."""
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }
        self.put("nodes", "Node", "v1", {"metadata": {"name": name}, "status": status})

    def itself(self, port: int) -> None:
        """The addresses of the API servers, as each cluster has them."""
        there = {"name": "kubernetes", "namespace": "default"}
        ports = [{"name": "https", "port": port, "protocol": "TCP"}]
        self.put("services", "Service", "v1", {"metadata": there, "spec": {"ports": ports}})
        slice_ = {
            "metadata": {**there, "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
            "ports": ports,
        }
        self.put("endpointslices", "EndpointSlice", "discovery.k8s.io/v1", slice_)


@contextmanager
def names(folder: Path, known: Mapping[str, Sequence[str]]) -> Iterator[None]:
    """A server of names at `RESOLVER`, whom containers ask: it knows these, and no other. Source: RFC 1035."""
    told = folder / "resolv.conf"
    search = f"{NAMESPACE}.svc.cluster.local svc.cluster.local cluster.local"  # as a kubelet writes it
    told.write_text(f"nameserver {RESOLVER}\nsearch {search}\noptions ndots:5 timeout:1 attempts:1\n")
    inside = (
        Bind(source=Path("/etc/hosts"), target="/etc/hosts"),
        Bind(source=told, target="/etc/resolv.conf"),
    )
    with (
        patch.object(container, "_NAMES", inside),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
    ):
        server.bind((RESOLVER, 53))

        def serve() -> None:
            while True:
                question, asker = server.recvfrom(4096)
                if not question:
                    return
                end = question.index(b"\0", 12) + 5
                labels, at = [], 12
                while question[at]:
                    labels.append(question[at + 1 : at + 1 + question[at]].decode())
                    at += 1 + question[at]
                addresses = known.get(".".join(labels), ())
                flags = 0x8580 if addresses else 0x8583  # an answer, with authority; no such name
                if question[at + 1 : at + 3] != b"\0\1":  # of another kind of address there is none
                    addresses = ()
                answers = b"".join(
                    b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + socket.inet_aton(each)
                    for each in addresses
                )
                header = question[:2] + struct.pack("!HHHHH", flags, 1, len(addresses), 0, 0)
                server.sendto(header + question[12:end] + answers, asker)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", (RESOLVER, 53))
            thread.join()


class PrometheusPod(RecordedPod):
    """One Prometheus' pod.

    Args:
        folder: for its volumes and logs.
        watches: what it watches beside itself.
        changes: of its arguments.
    """

    def __init__(self, folder: Path, watches: Sequence[Watch], **changes: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.port = free_port()
        self.authority, self.cluster = folder / "authority", folder / "cluster"
        self.recording: Recording = record(
            lambda: Prometheus("prometheus", self._args(watches, changes)) and None
        )
        stateful_set = self.recording.one("kubernetes:apps/v1:StatefulSet", "prometheus-stateful-set").inputs
        super().__init__(folder, self.recording, stateful_set["spec"]["template"]["spec"])
        sign(self.volumes["tls"], self.authority, names=["localhost", f"prometheus.{NAMESPACE}.svc"])
        self.write_secret("web.yml", web_config(HASH))
        for file in self.volumes["config"].glob("*.y*ml"):
            text = file.read_text()
            for seconds in ("30s", "15s", "10s"):
                text = text.replace(f": {seconds}", ": 2s").replace(f': "{seconds}', ': "1s')
            file.write_text(text)
        told = self.containers["prometheus"]
        told["args"] = [word.replace("address=:", "address=127.0.0.1:") for word in told["args"]]
        # What was sent before an Alertmanager was known is sent again after a minute.
        told["args"].append("--rules.alert.resend-delay=2s")

    def _args(self, watches: Sequence[Watch], changes: Mapping[str, Any]) -> PrometheusArgs:
        given: dict[str, Any] = {
            "identity": IDENTITY,
            "namespace": NAMESPACE,
            "image": "prometheus",
            "resources": Resources(cpu="100m", memory="256Mi", memory_limit="512Mi"),
            "authority": Authority("authority", AuthorityArgs(identity=IDENTITY)),
            "watches": watches,
            "api_server": Addresses(name="api-server", cidrs={"10.0.0.1/32": []}, port=6443),
            "nodes": Addresses(name="nodes", cidrs={"10.0.0.0/16": []}, port=10250),
            "external_labels": {"product": "fixia", "environment": "test"},
            "port": self.port,
        }
        return PrometheusArgs(**{**given, **changes})

    @contextmanager
    def api(self) -> Iterator[ApiServer]:
        """The cluster's API server, and the token for it."""
        tls = self.folder / "api-tls"
        tls.mkdir(exist_ok=True)
        sign(tls, self.cluster, names=["127.0.0.1", "kubernetes.default.svc"])
        (self.volumes["token"] / "ca.crt").write_text((self.cluster / "ca.crt").read_text())
        (self.volumes["token"] / "token").write_text(TOKEN)
        with ApiServer(tls) as api:
            self.containers["prometheus"]["env"] = [
                {"name": "KUBERNETES_SERVICE_HOST", "value": "127.0.0.1"},
                {"name": "KUBERNETES_SERVICE_PORT", "value": str(api.port)},
            ]
            yield api

    @property
    def endpoint(self) -> Endpoint:
        return endpoint(IDENTITY, "prometheus", NAMESPACE, self.port)

    @contextmanager
    def serving(self) -> Iterator[Container]:
        """Run it until it is ready."""
        with self.run("prometheus") as running:

            def ready() -> bool:
                assert running.poll() is None, self.log("prometheus")
                with contextlib.suppress(OSError):
                    return self.ask("/-/ready")[0] == 200
                return False

            eventually(ready, "Prometheus is ready", 2 * PATIENCE_SECONDS)
            yield running

    def ask(self, path: str, password: str | None = PASSWORD) -> tuple[int, str]:
        """One request, with a password or none: the status and the text."""
        request = urllib.request.Request(f"https://localhost:{self.port}{path}")
        if password is not None:
            shown = base64.b64encode(f"platform:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {shown}")
        context = ssl.create_default_context(cafile=str(self.authority / "ca.crt"))
        try:
            with urllib.request.urlopen(request, context=context, timeout=10) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    def api_data(self, path: str) -> Any:
        status, text = self.ask(f"/api/v1/{path}")
        assert status == 200, text
        return json.loads(text)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The labels of each series of an instant query, and under `value` what it is."""
        found = self.api_data(f"query?query={quote(expression)}")["result"]
        return [{**each["metric"], "value": float(each["value"][1])} for each in found]

    def granted(self) -> set[Call]:
        """The calls that the recorded roles allow."""
        group = "kubernetes:rbac.authorization.k8s.io/v1"
        return {
            (verb, api_group, resource, each.inputs["metadata"].get("namespace", ""))
            for kind in ("Role", "ClusterRole")
            for each in self.recording.of_type(f"{group}:{kind}")
            for rule in each.inputs["rules"]
            for api_group in rule.get("apiGroups", [])
            for resource in rule.get("resources", [])
            for verb in rule["verbs"]
        }


def alertmanagers(port: int) -> dict[str, Any]:
    """Arguments by which alerts go to two Alertmanagers."""
    return {
        "alertmanagers": endpoint(IDENTITY, "alertmanager", NAMESPACE, port),
        "alertmanager_password": pulumi.Output.secret(THEIRS),
    }


def probing(port: int, *probes: Probe) -> dict[str, Any]:
    """Arguments by which an exporter is asked for probes."""
    return {"blackbox": endpoint(IDENTITY, "blackbox", NAMESPACE, port), "probes": probes}


@contextmanager
def together(*parts: Any) -> Iterator[None]:
    """Several context managers as one."""
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(part)
        yield
