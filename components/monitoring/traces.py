"""Jaeger: keeps the traces that the collectors send for some days, and is asked by Grafana."""

from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Final

import pulumi

from components.base import Component
from components.monitoring import store, traces_alerts
from components.monitoring.access import TLS_FOLDER
from components.monitoring.store import CONFIG_FOLDER, DATA_FOLDER, StoreArgs
from components.network import endpoint
from components.pods import Container, http_probe
from components.watch import Target, Watch

OTLP_PORT: Final = 4318
"""Where the collectors write: OTLP over HTTP."""
QUERY_PORT: Final = 16686
"""Where Grafana asks. Source: https://www.jaegertracing.io/docs/2.13/architecture/apis/"""
GRPC_PORT: Final = 16685
"""The same by another protocol, within the pod alone."""
METRICS_PORT: Final = 8888
HEALTH_PORT: Final = 13133
"""Where it says how it is, without TLS, and nothing of what it keeps."""

HOURS_OF_A_DAY: Final = 24


@dataclass(frozen=True, kw_only=True)
class TracesArgs(StoreArgs):
    """One Jaeger; see `components.monitoring.store.StoreArgs`.

    Attributes:
        image: Jaeger's, 2.13 or newer.
        retention_days: how long a span is found.
    """

    retention_days: int = 3


class Traces(Component):
    """One Jaeger whose spans lie on a volume of its own, for who shows the authority's certificate.

    Writing and asking are two ports, so that network policy lets the collectors only write and Grafana only
    ask. A span is on the volume before it is acknowledged; while it is away the collectors' queues hold what
    comes, and drop what they can't: no workload waits for its traces.

    Badger drops by age and knows no bound by size: an alert comes before the volume is full. It is not backed
    up: lost traces cost the past days and no alert.
    """

    TYPE = "fixia:monitoring:Traces"

    service: pulumi.Output[str]
    """The Service's name, which is also its DNS name within the namespace."""
    host: pulumi.Output[str]
    """Its DNS name within the cluster, for clients of other namespaces."""
    stateful_set: pulumi.Output[str]
    """The StatefulSet's name in the cluster."""
    claim: pulumi.Output[str]
    """The volume claim's name in the cluster."""

    def __init__(self, name: str, args: TracesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        self.host = pulumi.Output.concat(name, ".", args.namespace, ".svc")
        self.endpoint = replace(endpoint(args.identity, name, args.namespace, OTLP_PORT), encrypted=True)
        self.query = replace(self.endpoint, port=QUERY_PORT)
        metrics = replace(self.endpoint, name=f"{name}-metrics", port=METRICS_PORT, encrypted=False)
        self.watch = Watch(
            name=name,
            targets=[Target(job=name, endpoint=metrics)],
            alerts=traces_alerts.of_store(name),
        )
        made = store.made(
            self,
            name,
            args,
            _jaeger(args),
            selector=self.endpoint.pods,
            files={"jaeger.yaml": jaeger_yaml(args.retention_days)},
            tls_folder=TLS_FOLDER,
            ports=[("otlp", OTLP_PORT), ("query", QUERY_PORT)],
        )
        self.service, self.stateful_set, self.claim = made.service, made.stateful_set, made.claim
        self.finish()


def jaeger_yaml(
    retention_days: int,
    *,
    listen: str = "0.0.0.0",  # noqa: S104 what a pod has is its own
    otlp_port: int = OTLP_PORT,
    query_port: int = QUERY_PORT,
    grpc_port: int = GRPC_PORT,
    metrics_port: int = METRICS_PORT,
    health_port: int = HEALTH_PORT,
    data_folder: str = DATA_FOLDER,
    tls_folder: str = TLS_FOLDER,
) -> str:
    """What it is told, a YAML file.

    Args:
        retention_days: how long a span is found.
        listen: the address that it listens at.
        otlp_port: where it is written to, over TLS.
        query_port: where it is asked, over TLS.
        grpc_port: where it is asked by gRPC, within the pod.
        metrics_port: where it tells its metrics.
        health_port: where it says how it is.
        data_folder: where it keeps everything.
        tls_folder: where its certificate is.
    """
    template = Template((Path(__file__).parent / "jaeger.yaml").read_text(encoding="utf-8"))
    return template.substitute(
        listen=listen,
        otlp_port=otlp_port,
        query_port=query_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        health_port=health_port,
        data_folder=data_folder,
        tls_folder=tls_folder,
        retention_hours=retention_days * HOURS_OF_A_DAY,
    )


def _jaeger(args: TracesArgs) -> Container:
    return Container(
        name="jaeger",
        image=args.image,
        resources=args.resources,
        # No command: it is its image's entrypoint, which PATH does not name.
        args=[f"--config={CONFIG_FOLDER}/jaeger.yaml"],
        ports={"otlp": OTLP_PORT, "query": QUERY_PORT, "metrics": METRICS_PORT, "health": HEALTH_PORT},
        env=store.go_memory(args.resources),
        # After a crash it reads its log again before it answers.
        startup=http_probe("/status", port="health", period_seconds=2, failure_threshold=150),
        readiness=http_probe("/status", port="health", period_seconds=10, failure_threshold=3),
        liveness=http_probe("/status", port="health", period_seconds=20, failure_threshold=6),
    )
