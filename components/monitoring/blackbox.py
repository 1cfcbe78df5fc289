"""The blackbox exporter: asks the product as its users do, and tells Prometheus what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import ConfigMap, Service, ServicePortArgs, ServiceSpecArgs, VolumeMountArgs

from components.base import Component, Identity
from components.deployments import rolling
from components.network import INTERNET, Addresses, Connections, ConnectionsArgs, Endpoint, endpoint
from components.platform.service_account import service_account
from components.pods import Container, Pod, Resources, http_probe
from components.volumes import config_volume
from components.watch import Target, Watch

CONFIG_FOLDER: Final = "/etc/blackbox"
MODULES: Final = Path(__file__).parent / "blackbox.yml"
"""The ways in which it can ask."""


@dataclass(frozen=True, kw_only=True)
class BlackboxArgs:
    """The exporter.

    Attributes:
        identity: whose it is.
        namespace: where its pod runs.
        image: the blackbox exporter's image, with a tag; see images/blackbox-exporter.
        resources: what it may use.
        talks_to: what it asks: the internet, which is how users come too, and what must be named beside, such
            as the entrance where a host leads to it from within.
        priority_class: the name of the pod's priority class.
        port: where it listens for HTTP.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    resources: Resources
    talks_to: Sequence[Endpoint | Addresses] = (INTERNET,)
    priority_class: pulumi.Input[str] | None = None
    port: int = 9115


class Blackbox(Component):
    """The exporter that asks what Prometheus tells it to (`Probe`), once for each scrape.

    It is asked from within the cluster, so it does not see that the cluster's own way out is cut off from the
    rest of the world; for that somebody outside has to ask. Who can call it can make it call whatever it may
    reach: the network lets nobody but Prometheus. An endless answer is cut at the modules' time limits.

    When it is down `TargetDown` and `PublicAddressDown` say so: the second means either.
    """

    TYPE = "fixia:monitoring:Blackbox"

    service: pulumi.Output[str]
    """The Service's name, which is also its DNS name within the namespace."""
    deployment: pulumi.Output[str]
    """The Deployment's name in the cluster."""

    def __init__(self, name: str, args: BlackboxArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        self.endpoint = endpoint(args.identity, name, args.namespace, args.port)
        self.metrics = self.endpoint
        self.watch = Watch(name=name, targets=[Target(job=name, endpoint=self.endpoint)])
        selector = self.endpoint.pods
        self.deployment = self._deployment(name, args, selector).metadata.name
        self.service = self._service(name, args, selector).metadata.name
        Connections(
            name,
            ConnectionsArgs(identity=args.identity, caller=self.endpoint, talks_to=args.talks_to),
            opts=self.child(),
        )
        self.finish()

    def _deployment(self, name: str, args: BlackboxArgs, selector: Mapping[str, str]) -> Deployment:
        # Immutable and named by the engine: a changed module rolls the pod.
        config = ConfigMap(
            f"{name}-config",
            metadata=self.metadata(args.namespace),
            immutable=True,
            data={MODULES.name: MODULES.read_text(encoding="utf-8")},
            opts=self.child(),
        )
        account = service_account(self, name, args.namespace)
        return Deployment(
            f"{name}-deployment",
            metadata=self.metadata(args.namespace, name=name),
            spec=rolling(
                Pod(
                    containers=[_exporter(args)],
                    service_account=account.metadata.name,
                    volumes=[config_volume("config", config.metadata.name)],
                    priority_class=args.priority_class,
                ),
                self.metadata(),
                selector,
                replicas=1,
            ),
            opts=self.child(),
        )

    def _service(self, name: str, args: BlackboxArgs, selector: Mapping[str, str]) -> Service:
        return Service(
            f"{name}-service",
            # The name is fixed: Prometheus calls it.
            metadata=self.metadata(args.namespace, name=name),
            spec=ServiceSpecArgs(
                type="ClusterIP",
                selector=dict(selector),
                ports=[ServicePortArgs(name="http", port=args.port, target_port="http", protocol="TCP")],
            ),
            opts=self.child(),
        )


def _exporter(args: BlackboxArgs) -> Container:
    return Container(
        name="blackbox",
        image=args.image,
        resources=args.resources,
        # No command: images call the program by different names, and have it as their entrypoint.
        args=[f"--config.file={CONFIG_FOLDER}/{MODULES.name}", f"--web.listen-address=:{args.port}"],
        ports={"http": args.port},
        mounts=[VolumeMountArgs(name="config", mount_path=CONFIG_FOLDER, read_only=True)],
        liveness=http_probe("/-/healthy", period_seconds=10, failure_threshold=6),
        readiness=http_probe("/-/healthy", period_seconds=10, failure_threshold=3),
        # A probe that runs may end.
        drains=True,
    )
