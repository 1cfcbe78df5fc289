"""kube-state-metrics: what the cluster says of its objects, as metrics: wanted, there, ready, failed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgs,
    RoleRefArgs,
    SubjectArgs,
)

from components.base import Component, Identity
from components.deployments import rolling
from components.network import Addresses, Connections, ConnectionsArgs, endpoint
from components.platform.api_token import token_mount, token_volume
from components.platform.service_account import service_account
from components.pods import Container, Pod, Resources, http_probe
from components.watch import Alert, Target, Watch

RESOURCES: Final = {
    "": ("namespaces", "nodes", "persistentvolumeclaims", "pods", "resourcequotas"),
    "apps": ("daemonsets", "deployments", "statefulsets"),
    "autoscaling": ("horizontalpodautoscalers",),
    "batch": ("cronjobs", "jobs"),
    "policy": ("poddisruptionbudgets",),
}
"""API group -> the kinds that are watched: what alerts and boards ask for. No Secret, no ConfigMap."""

LEFT_OUT: Final = (
    "kube_pod_ips",
    "kube_pod_scheduler",
    "kube_pod_service_account",
    "kube_pod_status_container_ready_time",
    "kube_pod_status_initialized_time",
    "kube_pod_status_qos_class",
    "kube_pod_status_ready_time",
    "kube_pod_tolerations",
)
"""Metrics that nothing asks for, of which every pod would have several series."""

RUNBOOK: Final = "docs/runbooks/monitoring-exporters.md"

ALERTS: Final = (
    Alert(
        name="KubeStateMetricsCannotRead",
        expression="sum by (namespace, resource) "
        '(increase(kube_state_metrics_list_total{result="error"}[10m])) > 0 '
        "or sum by (namespace, resource) "
        '(increase(kube_state_metrics_watch_total{result="error"}[10m])) > 5',
        minutes=15,
        severity="P2",
        summary="kube-state-metrics may not or cannot read {{ $labels.resource }}: their alerts are blind",
        runbook=RUNBOOK,
    ),
    Alert(
        name="KubeStateMetricsSilent",
        expression="absent(kube_pod_info) or absent(kube_node_info)",
        minutes=10,
        severity="P2",
        summary="kube-state-metrics tells of no pod or no node: alerts on the cluster's objects are blind",
        runbook=RUNBOOK,
    ),
)


@dataclass(frozen=True, kw_only=True)
class KubeStateMetricsArgs:
    """The exporter of the cluster's objects.

    Attributes:
        identity: whose it is.
        namespace: where its pod runs.
        image: kube-state-metrics' image, 2.13 or newer, with a tag.
        resources: what it may use: some 50 MiB for a hundred pods.
        api_server: where the API server is, behind its Service.
        priority_class: the name of the pod's priority class.
        port: where it tells of the objects, by HTTP.
        telemetry_port: where it tells of itself.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    resources: Resources
    api_server: Addresses
    priority_class: pulumi.Input[str] | None = None
    port: int = 8080
    telemetry_port: int = 8081


class KubeStateMetrics(Component):
    """One pod that watches every object of some kinds, and may do nothing else.

    Its series carry the labels of what they tell of (`honor_labels`). While it is replaced both pods tell the
    same: who counts takes the maximum over them. It keeps nothing.
    """

    TYPE = "fixia:monitoring:KubeStateMetrics"

    deployment: pulumi.Output[str]
    """The Deployment's name in the cluster."""

    def __init__(
        self, name: str, args: KubeStateMetricsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args.identity, opts)
        self.endpoint = endpoint(args.identity, name, args.namespace, args.port)
        self.metrics = self.endpoint
        self.telemetry = replace(self.endpoint, name=f"{name}-telemetry", port=args.telemetry_port)
        self.watch = Watch(
            name=name,
            targets=[
                Target(job=name, endpoint=self.metrics, honor_labels=True),
                Target(job=f"{name}-telemetry", endpoint=self.telemetry),
            ],
            alerts=ALERTS,
        )
        self.deployment = self._deployment(name, args).metadata.name
        Connections(
            name,
            ConnectionsArgs(identity=args.identity, caller=self.endpoint, talks_to=[args.api_server]),
            opts=self.child(),
        )
        self.finish()

    def _deployment(self, name: str, args: KubeStateMetricsArgs) -> Deployment:
        account = service_account(self, name, args.namespace).metadata.name
        self._grant(name, account, args.namespace)
        return Deployment(
            f"{name}-deployment",
            metadata=self.metadata(args.namespace, name=name),
            spec=rolling(
                Pod(
                    containers=[_exporter(args)],
                    service_account=account,
                    volumes=[token_volume()],
                    priority_class=args.priority_class,
                ),
                self.metadata(),
                self.endpoint.pods,
                replicas=1,
            ),
            opts=self.child(),
        )

    def _grant(self, name: str, account: pulumi.Output[str], namespace: pulumi.Input[str]) -> None:
        role = ClusterRole(
            f"{name}-cluster-role",
            metadata=self.metadata(),
            rules=[
                PolicyRuleArgs(api_groups=[group], resources=list(resources), verbs=["list", "watch"])
                for group, resources in RESOURCES.items()
            ],
            opts=self.child(),
        )
        ClusterRoleBinding(
            f"{name}-cluster-role-binding",
            metadata=self.metadata(),
            role_ref=RoleRefArgs(
                api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=role.metadata.name
            ),
            subjects=[SubjectArgs(kind="ServiceAccount", name=account, namespace=namespace)],
            opts=self.child(),
        )


def flags(port: int, telemetry_port: int) -> Sequence[str]:
    """What the program is told.

    Args:
        port: where it tells of the objects.
        telemetry_port: where it tells of itself.
    """
    watched = sorted(resource for resources in RESOURCES.values() for resource in resources)
    return (
        f"--port={port}",
        f"--telemetry-port={telemetry_port}",
        f"--resources={','.join(watched)}",
        f"--metric-denylist={','.join(f'^{name}$' for name in LEFT_OUT)}",
        # Lists come from the API server's memory, not out of etcd.
        "--use-apiserver-cache",
        "--auto-gomemlimit",
    )


def _exporter(args: KubeStateMetricsArgs) -> Container:
    return Container(
        name="kube-state-metrics",
        image=args.image,
        resources=args.resources,
        # No command: it is in the root folder of its image, which PATH does not name, and its entrypoint.
        args=flags(args.port, args.telemetry_port),
        ports={"metrics": args.port, "telemetry": args.telemetry_port},
        mounts=[token_mount()],
        # /livez asks the API server, whose outage no restart would mend.
        liveness=http_probe("/healthz", port="metrics", period_seconds=20, failure_threshold=6),
        readiness=http_probe("/readyz", port="telemetry", period_seconds=10, failure_threshold=3),
    )
