"""The node exporter: what each machine says of itself, without a door into it."""

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import (
    DaemonSet,
)
from pulumi_kubernetes.core.v1 import VolumeMountArgs

from components.base import Component, Identity
from components.daemonsets import everywhere
from components.network import endpoint
from components.platform.service_account import service_account
from components.pods import Container, Pod, Resources, hardened_pod, http_probe
from components.volumes import config_volume
from components.watch import Target, Watch

COLLECTORS: Final = (
    "cpu",
    "diskstats",
    "filefd",
    "loadavg",
    "meminfo",
    "pressure",
    "stat",
    "textfile",
    "time",
    "timex",
    "uname",
    "vmstat",
)
"""What the kernel tells every container of the whole machine: /proc has no namespace for these. And one more.

Not among them, because in a pod they tell of the pod: file systems (the node's own are cAdvisor's
`container_fs_*{id="/"}`), network devices and sockets (`container_network_*{id="/"}`). `timex` asks the clock
by adjtimex, which the default seccomp profiles allow; only setting it takes a right. `textfile` tells what
the platform says of itself: `components.monitoring.deployed`.
Source: proc(5), namespaces(7)
"""


FACTS_FOLDER: Final = "/run/facts"
"""Files of metrics that are told as they stand."""


@dataclass(frozen=True, kw_only=True)
class NodeExporterArgs:
    """The exporter of every node.

    Attributes:
        identity: whose it is.
        namespace: where its pods run.
        image: the node exporter's image, with a tag; see images/node-exporter.
        facts: the name of a ConfigMap with files of metrics to tell; it may come later, and change.
        resources: what a pod may use.
        priority_class: the name of the pods' priority class.
        port: where they listen for HTTP.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    facts: pulumi.Input[str]
    resources: Resources
    priority_class: pulumi.Input[str] | None = None
    port: int = 9100


class NodeExporter(Component):
    """One pod on each node, as confined as all others: no path, network or process of the host.

    So it needs no exemption from the `restricted` level, and a hole in it is no way to the machine. The price
    is what it can't see: the machine's file systems, network and services; see `COLLECTORS`, and
    `node_uname_info`, whose `nodename` is the pod's. What it tells is the node's by the label `node`, which
    Prometheus adds; `instance` changes with each pod.
    """

    TYPE = "fixia:monitoring:NodeExporter"

    daemon_set: pulumi.Output[str]
    """The DaemonSet's name in the cluster."""

    def __init__(self, name: str, args: NodeExporterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        self.endpoint = endpoint(args.identity, name, args.namespace, args.port)
        self.metrics = self.endpoint
        self.watch = Watch(name=name, targets=[Target(job=name, endpoint=self.endpoint)])
        self.daemon_set = self._daemon_set(name, args).metadata.name
        self.finish()

    def _daemon_set(self, name: str, args: NodeExporterArgs) -> DaemonSet:
        account = service_account(self, name, args.namespace)
        pod = hardened_pod(
            Pod(
                containers=[_exporter(args)],
                service_account=account.metadata.name,
                volumes=[config_volume("facts", args.facts, optional=True)],
                priority_class=args.priority_class,
            )
        )
        return DaemonSet(
            f"{name}-daemon-set",
            metadata=self.metadata(args.namespace, name=name),
            spec=everywhere(pod, self.metadata(), self.endpoint.pods),
            opts=self.child(),
        )


def _exporter(args: NodeExporterArgs) -> Container:
    return Container(
        name="node-exporter",
        image=args.image,
        resources=args.resources,
        # No command: images call the program by different names, and have it as their entrypoint.
        args=[
            f"--web.listen-address=:{args.port}",
            # Of itself it has little to say, and would on every node.
            "--web.disable-exporter-metrics",
            "--collector.disable-defaults",
            *(f"--collector.{collector}" for collector in COLLECTORS),
            f"--collector.textfile.directory={FACTS_FOLDER}",
        ],
        ports={"metrics": args.port},
        mounts=[VolumeMountArgs(name="facts", mount_path=FACTS_FOLDER, read_only=True)],
        liveness=http_probe("/", port="metrics", period_seconds=20, failure_threshold=6),
        readiness=http_probe("/", port="metrics", period_seconds=20, failure_threshold=3),
    )
