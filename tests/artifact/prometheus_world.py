"""A Prometheus amid all that it watches: pods that are targets and pods that are none, a node, two Alertmanagers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.monitoring.prometheus_config import Probe
from components.network import endpoint
from components.watch import Alert, Recording, Target, Watch
from simulator.images.container import Container
from tests.artifact.pod import eventually, free_port, sign
from tests.artifact.prometheus_pod import (
    IDENTITY,
    NAMESPACE,
    THEIRS,
    TOKEN,
    ApiServer,
    PrometheusPod,
    Server,
    alertmanagers,
    basic,
    names,
    probing,
    together,
)

PAIR = ("127.0.1.1", "127.0.1.2")
"""Where the two Alertmanagers are."""

APPLICATION = 'requests_total{route="a"} 7\n'
OBJECTS = """\
kube_pod_info{namespace="shop",pod="shop-1",node="node-9"} 1
kube_deployment_created{namespace="shop",deployment="shop"} 5
kube_node_info{node="node-9"} 1
"""
MACHINE = """\
kubelet_volume_stats_available_bytes{namespace="fixia-data",persistentvolumeclaim="data"} 5
kubelet_runtime_operations_total{operation_type="x"} 5
apiserver_request_total{verb="GET",code="200"} 5
apiserver_request_duration_seconds_bucket{verb="GET",le="1"} 5
apiserver_request_duration_seconds_bucket{verb="GET",le="60"} 5
apiserver_request_duration_seconds_bucket{verb="GET",le="+Inf"} 5
"""
CADVISOR = """\
container_memory_working_set_bytes{container="api",id="/x",namespace="fixia-app",pod="api-1"} 5
container_memory_working_set_bytes{container="",id="/",namespace="",pod=""} 5
container_fs_limit_bytes{container="",device="/dev/sda1",id="/",namespace="",pod=""} 5
container_fs_limit_bytes{container="",device="/dev/sda1",id="/x",namespace="",pod=""} 5
container_network_receive_bytes_total{container="",id="/y",interface="eth0",namespace="fixia-app",pod="api-1"} 5
container_network_receive_bytes_total{container="",id="/",interface="cali123",namespace="",pod=""} 5
container_tasks_state{container="api",id="/x",namespace="fixia-app",pod="api-1",state="x"} 5
"""


@dataclass
class World:
    pod: PrometheusPod
    running: Container
    api: ApiServer
    alertmanagers: list[Server]
    ports: dict[str, int]

    def targets(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.pod.api_data("targets?state=active")["activeTargets"]
        return found

    def series(self, expression: str) -> list[dict[str, Any]]:
        return eventually(lambda: self.pod.query(expression) or None, expression)


def open_to_all(text: str) -> Any:
    return lambda _path, _headers: (200, text)


def machine(path: str, headers: Any) -> tuple[int, str]:
    if headers.get("Authorization") != f"Bearer {TOKEN}":
        return 401, ""
    return 200, CADVISOR if path == "/metrics/cadvisor" else MACHINE


def alertmanager(_path: str, headers: Any) -> tuple[int, str]:
    return (200, "alertmanager_alerts 1\n") if basic(headers, THEIRS) else (401, "")


def prober(path: str, _headers: Any) -> tuple[int, str]:
    wanted = "/probe?module=http_2xx&target=https%3A%2F%2Fapi.example.org%2F"
    return (200, "probe_success 1\n") if path == wanted else (404, path)


@contextmanager
def watched(folder: Path) -> Iterator[World]:
    """A Prometheus that is ready, in a folder of its own."""
    tls = folder / "alertmanager-tls"
    tls.mkdir()
    pair_port = free_port()
    ports = {"alertmanager": pair_port}
    with (
        Server(open_to_all(APPLICATION)) as application,
        Server(open_to_all(OBJECTS)) as objects,
        Server(prober) as exporter,
    ):
        ports |= {"application": application.port, "objects": objects.port, "blackbox": exporter.port}
        shop = endpoint(IDENTITY, "shop", "fixia-app", application.port)
        cluster = endpoint(IDENTITY, "objects", NAMESPACE, objects.port)
        pair = endpoint(IDENTITY, "alertmanager", NAMESPACE, pair_port)
        always = Alert(
            name="Always", expression="vector(1)", minutes=0, severity="P4", summary="s", runbook="r"
        )
        watches = [
            Watch(
                name="shop",
                targets=[Target(job="shop", endpoint=shop)],
                alerts=[always],
                recordings=[Recording(record="shop:requests", expression="sum(requests_total)")],
            ),
            Watch(name="objects", targets=[Target(job="objects", endpoint=cluster, honor_labels=True)]),
            Watch(name="pair", targets=[Target(job="alertmanager", endpoint=pair, tls=True)]),
        ]
        probes = probing(exporter.port, Probe(name="api", url="https://api.example.org/"))
        pod = PrometheusPod(folder / "pod", watches, **alertmanagers(pair_port), **probes)
        sign(tls, pod.authority, names=[f"alertmanager.{NAMESPACE}.svc"])
        told = [Server(alertmanager, tls, (address, pair_port)) for address in PAIR]
        known = {
            f"alertmanager-headless.{NAMESPACE}.svc.cluster.local": PAIR,
            f"blackbox.{NAMESPACE}.svc.cluster.local": ("127.0.0.1",),
        }
        with pod.api() as api, together(*told, names(folder, known)):
            node_tls = folder / "node-tls"
            node_tls.mkdir()
            sign(node_tls, pod.cluster, names=["127.0.0.1", "kubernetes.default.svc"])
            with Server(machine, node_tls) as node:
                ports["node"] = node.port
                api.node("node-1", node.port)
                api.itself(node.port)
                api.pod("shop-1", shop)
                api.pod("objects-1", cluster)
                api.pod("prometheus-0", pod.endpoint)
                for number, address in enumerate(PAIR):
                    api.pod(f"alertmanager-{number}", pair, address=address)
                # None of these is a target.
                labels = {**shop.pods, "app.kubernetes.io/name": "shop-worker"}
                api.pod("shop-worker-1", shop, labels=labels)
                api.pod("shop-of-another-product", shop, labels={"app.kubernetes.io/name": "shop"})
                api.pod("shop-migration", shop, phase="Succeeded", address="127.0.0.9")
                api.pod("shop-at-another-port", shop, port=1)
                api.pod("shop-elsewhere", shop, namespace="other")
                with pod.serving() as running:
                    yield World(pod, running, api, told, ports)
