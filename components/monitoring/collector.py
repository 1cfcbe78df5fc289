"""The collector: on each node it reads what containers write, removes secrets, and sends it on."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import (
    DaemonSet,
)
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    EmptyDirVolumeSourceArgs,
    HostPathVolumeSourceArgs,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
)

from components.base import Component, Identity
from components.daemonsets import everywhere
from components.monitoring import collector_alerts
from components.monitoring.access import TLS_FOLDER
from components.monitoring.store import go_memory
from components.network import Connections, ConnectionsArgs, Endpoint, endpoint
from components.platform.authority import Authority
from components.platform.service_account import service_account
from components.pods import Container, Pod, Resources, hardened_pod, http_probe
from components.volumes import config_volume, secret_volume
from components.watch import Target, Watch

OTLP_PORT: Final = 4318
"""Where OTLP over HTTP is taken. Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp-default-port"""

METRICS_PORT: Final = 8888
"""Of itself; collector.yaml says it too."""
COUNTS_PORT: Final = 8889
"""Of what it has read."""
HEALTH_PORT: Final = 13133

CONFIG_FOLDER: Final = "/etc/collector"
DATA_FOLDER: Final = "/var/lib/collector"
LOGS_FOLDER: Final = "/var/log/pods"
"""On the node and in the pod. Source: https://kubernetes.io/docs/concepts/cluster-administration/logging/"""

QUEUE: Final = "256Mi"
"""Of the node's disk: both queues, what was read so far, and a copy while it is tidied up."""

LOGS_GROUP: Final = 0
"""Who may read those files on a node: they are root's, and its group's (0640)."""

_FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class CollectorArgs:
    """One collector on each node.

    Attributes:
        identity: whose it is.
        namespace: where its pods run: one that may mount the node's logs, and holds nothing else.
        image: the OpenTelemetry Collector's contrib image, 0.157 or newer, with a tag.
        resources: what a pod may use.
        authority: who signs its certificate and those of who talks to it.
        logs: who keeps logs.
        traces: who keeps traces; it takes none unless told.
        priority_class: the name of its pods' priority class.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    resources: Resources
    authority: Authority
    logs: Endpoint
    traces: Endpoint | None = None
    priority_class: pulumi.Input[str] | None = None


class Collector(Component):
    """A pod on each node that reads the files to which the container runtime writes what containers say.

    Those files are a folder of the node, which the `restricted` level forbids: so it is alone in a namespace
    that may have it, mounts that one folder to read, and is confined like every other pod in all else. It is
    no root: it has their group. It has no right in the API: whose a line is it reads off the file's name.

    While who keeps logs is away nothing is lost: reading waits, until the kubelet drops the oldest files
    (50 MB of each container). What it has read, and its queue, are on the node's disk as long as the pod is
    there; a new pod reads all files again, and what comes twice is kept once. Traces that were not sent
    when a pod is replaced are lost.

    Who stops a flood is the memory limiter: it refuses before the limit ends the process.
    """

    TYPE = "fixia:monitoring:Collector"

    daemon_set: pulumi.Output[str]
    """The DaemonSet's name in the cluster."""
    service: pulumi.Output[str] | None
    """The Service's name, which takes traces; None if it takes none."""

    def __init__(self, name: str, args: CollectorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        self.endpoint = taken(name, args.identity, args.namespace)
        selector = self.endpoint.pods
        itself = replace(endpoint(args.identity, name, args.namespace, METRICS_PORT), name=f"{name}-metrics")
        counts = replace(itself, name=f"{name}-counts", port=COUNTS_PORT)
        self.watch = Watch(
            name=name,
            targets=[
                Target(job=name, endpoint=itself),
                Target(job=f"{name}-counts", endpoint=counts, honor_labels=True),
            ],
            alerts=collector_alerts.ALERTS,
        )
        self.daemon_set = self._daemon_set(name, args).metadata.name
        self.service = self._service(name, args).metadata.name if args.traces else None
        Connections(
            name,
            ConnectionsArgs(
                identity=args.identity,
                caller=replace(self.endpoint, pods=selector),
                talks_to=[args.logs, *([args.traces] if args.traces else [])],
            ),
            opts=self.child(),
        )
        self.finish()

    def _daemon_set(self, name: str, args: CollectorArgs) -> DaemonSet:
        pod = hardened_pod(
            Pod(
                containers=[_collector(args)],
                service_account=service_account(self, name, args.namespace).metadata.name,
                volumes=[
                    self._config(name, args),
                    self._signed(name, args),
                    VolumeArgs(
                        name="logs", host_path=HostPathVolumeSourceArgs(path=LOGS_FOLDER, type="Directory")
                    ),
                    VolumeArgs(name="data", empty_dir=EmptyDirVolumeSourceArgs(size_limit=QUEUE)),
                ],
                priority_class=args.priority_class,
            )
        )
        pod.security_context.supplemental_groups = [LOGS_GROUP]  # type: ignore[union-attr]
        return DaemonSet(
            f"{name}-daemon-set",
            metadata=self.metadata(args.namespace, name=name),
            spec=everywhere(pod, self.metadata(), self.endpoint.pods),
            opts=self.child(),
        )

    def _config(self, name: str, args: CollectorArgs) -> VolumeArgs:
        config_map = ConfigMap(
            f"{name}-config",
            metadata=self.metadata(args.namespace),
            immutable=True,
            data=files(traces=args.traces is not None),
            opts=self.child(),
        )
        return config_volume("config", config_map.metadata.name)

    def _signed(self, name: str, args: CollectorArgs) -> VolumeArgs:
        # By one certificate it is asked and asks.
        inside = pulumi.Output.concat(name, ".", args.namespace)
        names: list[pulumi.Input[str]] = [name, inside, pulumi.Output.concat(inside, ".svc"), "localhost"]
        return secret_volume("tls", args.authority.issue(self, name, args.namespace, names, client=True))

    def _service(self, name: str, args: CollectorArgs) -> Service:
        return Service(
            f"{name}-service",
            # The name is fixed: workloads call it, and the certificate is for it.
            metadata=self.metadata(args.namespace, name=name),
            spec=ServiceSpecArgs(
                type="ClusterIP",
                selector=dict(self.endpoint.pods),
                ports=[ServicePortArgs(name="otlp", port=OTLP_PORT, target_port="otlp", protocol="TCP")],
            ),
            opts=self.child(),
        )


def taken(name: str, identity: Identity, namespace: pulumi.Input[str]) -> Endpoint:
    """Where workloads send their traces, also before it is made: OTLP over HTTP, with their certificate.

    Args:
        name: the component's name.
        identity: whose it is.
        namespace: where its pods run.

    Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
    """
    return replace(
        endpoint(identity, name, namespace, OTLP_PORT),
        config={
            "OTEL_EXPORTER_OTLP_ENDPOINT": pulumi.Output.concat(
                f"https://{name}.", namespace, f".svc:{OTLP_PORT}"
            ),
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": f"{TLS_FOLDER}/ca.crt",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": f"{TLS_FOLDER}/tls.crt",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": f"{TLS_FOLDER}/tls.key",
        },
        encrypted=True,
    )


def files(*, traces: bool) -> dict[str, str]:
    """What it is told: files of the tree as they are; it reads all of them as one.

    Args:
        traces: whether it takes traces too.
    """
    names = ["collector.yaml", *(["collector_traces.yaml"] if traces else [])]
    return {name: (_FOLDER / name).read_text(encoding="utf-8") for name in names}


def _address(callee: Endpoint) -> pulumi.Output[str]:
    return pulumi.Output.concat(f"https://{callee.name}.", callee.namespace, f".svc:{callee.port}")


def _collector(args: CollectorArgs) -> Container:
    told: dict[str, pulumi.Input[str]] = {
        "LISTEN": "0.0.0.0",  # noqa: S104 what a pod has is its own
        "LOGS_URL": _address(args.logs),
        "LOGS_FOLDER": LOGS_FOLDER,
        "OWN_NAMESPACE": args.namespace,
        "TLS_FOLDER": TLS_FOLDER,
        "DATA_FOLDER": DATA_FOLDER,
        "COUNTS_PORT": str(COUNTS_PORT),
        "METRICS_PORT": str(METRICS_PORT),
        "HEALTH_PORT": str(HEALTH_PORT),
    }
    ports = {"metrics": METRICS_PORT, "counts": COUNTS_PORT, "health": HEALTH_PORT}
    if args.traces:
        told |= {"TRACES_URL": _address(args.traces), "OTLP_PORT": str(OTLP_PORT)}
        ports["otlp"] = OTLP_PORT
    folders = {"config": CONFIG_FOLDER, "tls": TLS_FOLDER, "logs": LOGS_FOLDER}
    return Container(
        name="collector",
        image=args.image,
        resources=args.resources,
        # No command: it is in the root folder of its image, which PATH does not name, and its entrypoint.
        args=[f"--config={CONFIG_FOLDER}/{name}" for name in files(traces=args.traces is not None)],
        ports=ports,
        env={**told, **go_memory(args.resources)},
        mounts=[
            *(
                VolumeMountArgs(name=volume, mount_path=folder, read_only=True)
                for volume, folder in folders.items()
            ),
            VolumeMountArgs(name="data", mount_path=DATA_FOLDER),
        ],
        startup=http_probe("/", port="health", period_seconds=2, failure_threshold=30),
        readiness=http_probe("/", port="health", period_seconds=10, failure_threshold=3),
        liveness=http_probe("/", port="health", period_seconds=20, failure_threshold=6),
    )
