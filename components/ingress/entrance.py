"""The entrance: Traefik as the ingress controller, between the world and the workloads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import pulumi
from pulumi_kubernetes.apps.v1 import (
    Deployment,
)
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ConfigMapProjectionArgs,
    EmptyDirVolumeSourceArgs,
    KeyToPathArgs,
    ProbeArgs,
    ProjectedVolumeSourceArgs,
    SecretProjectionArgs,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
    VolumeProjectionArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs
from pulumi_kubernetes.networking.v1 import (
    IngressClass,
    IngressClassSpecArgs,
    IPBlockArgs,
    NetworkPolicy,
    NetworkPolicyIngressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicyPortArgs,
    NetworkPolicySpecArgs,
)

from components.application.scaling import Autoscaling, autoscaler, disruption_budget
from components.base import Component, Identity
from components.deployments import rolling
from components.ingress import access, alerts, traefik_config
from components.ingress.route import CLASS_NAME, Route
from components.ingress.traefik_config import DRAIN_SECONDS, DYNAMIC_FOLDER, PORTS, STATIC_FOLDER
from components.network import Addresses, Connections, ConnectionsArgs, Endpoint
from components.platform.api_token import token_mount, token_volume
from components.platform.service_account import service_account
from components.pods import ENDPOINT_REMOVAL_SECONDS, Container, Pod, Resources, http_probe
from components.volumes import config_volume
from components.watch import Target, Watch

CONTROLLER: Final = "traefik.io/ingress-controller"
"""What Traefik looks for in an ingress class; it is not a setting of its."""

SPOOL_FOLDER: Final = "/spool"

_EVERYONE: Final = ("0.0.0.0/0", "::/0")
_LEFTOVER_SECONDS: Final = 5


@dataclass(frozen=True, kw_only=True)
class EntranceArgs:
    """The entrance of one cluster.

    Attributes:
        identity: whose it is.
        namespace: where its pods run; its quota must allow two node ports if `node_ports` is set.
        image: the Traefik image, 3.5, with a tag.
        resources: what a pod may use.
        routes: what it leads to; `Routes` makes their objects.
        served: tier -> namespace that the routes' backends live in.
        certificates: Secrets with `tls.crt` and `tls.key` in the namespace. Each host is served the one that
            is for it; a renewal is taken over without a restart.
        api_server: where the API server is, behind its Service.
        trusted_ranges: the proxies in front of it (a CDN's ranges). With some, nobody else is let in, and the
            clients are who the proxies say; with none, clients come directly. They must reach the pod with
            their own addresses.
        client_authority: a Secret with `ca.crt`: callers must show a certificate that it signed.
        replicas: how many pods; unless `autoscaling` decides.
        autoscaling: a range of pods.
        service_type: `LoadBalancer`, or `ClusterIP` where something else leads traffic to it.
        service_annotations: what the cloud's load balancer wants to be told.
        node_ports: whether the load balancer needs a node port for each of the two ports; one that sends to
            the pods' addresses does not.
        priority_class: the name of the pods' priority class.
        class_name: the name of the ingress class.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    resources: Resources
    routes: Sequence[Route]
    served: Mapping[str, pulumi.Input[str]]
    certificates: Sequence[pulumi.Input[str]]
    api_server: Addresses
    trusted_ranges: Sequence[str] = ()
    client_authority: pulumi.Input[str] | None = None
    replicas: int = 2
    autoscaling: Autoscaling | None = None
    service_type: Literal["ClusterIP", "LoadBalancer"] = "LoadBalancer"
    service_annotations: Mapping[str, str] = field(default_factory=dict)
    node_ports: bool = False
    priority_class: pulumi.Input[str] | None = None
    class_name: str = CLASS_NAME

    def __post_init__(self) -> None:
        """Refuses what would be down with its first node, or could serve nobody."""
        fewest = self.autoscaling.min if self.autoscaling else self.replicas
        if self.identity.environment == "production" and fewest < 2:
            raise ValueError("in production the entrance has at least two pods: one goes with its node")
        if not self.certificates:
            raise ValueError("the entrance needs a certificate: without one it refuses every TLS handshake")
        if self.class_name != CLASS_NAME:
            raise ValueError(f"the entrance serves the class {CLASS_NAME}: another controller serves others")


class Entrance(Component):
    """Traefik, which serves the `Routes` of its class over HTTPS alone.

    Its configuration is immutable and named by the engine, so a changed route rolls the pods. A stopping pod
    goes on accepting for as long as the workloads' do, then finishes what it has. Each pod counts a client's
    requests by itself: the limits hold for each pod, not for all together.

    When it fails: /ping of a pod says whether it runs; a route whose middlewares are broken answers 404, and
    the log says which.
    """

    TYPE = "fixia:ingress:Entrance"

    service: pulumi.Output[str]
    """The Service's name."""
    deployment: pulumi.Output[str]
    """The Deployment's name in the cluster."""

    def __init__(self, name: str, args: EntranceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        # A selector can never be changed, so it holds only what never does.
        selector = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": args.identity.product}
        self.endpoint = self._endpoint(name, args, selector, "websecure")
        self.metrics = self._endpoint(f"{name}-metrics", args, selector, "metrics")
        deployment = self._deployment(name, args, selector)
        self.deployment = deployment.metadata.name
        self.service = self._service(name, args, selector).metadata.name
        if args.autoscaling:
            autoscaler(self, name, args.namespace, deployment=self.deployment, autoscaling=args.autoscaling)
        disruption_budget(self, name, args.namespace, selector=selector)
        self._ingress_class(name, args)
        self._policies(name, args, selector)
        self.watch = Watch(
            name=name,
            targets=[Target(job=name, endpoint=self.metrics)],
            alerts=(*alerts.ISSUED, *alerts.SERVED),
        )
        self.finish()

    def _endpoint(self, name: str, args: EntranceArgs, selector: Mapping[str, str], port: str) -> Endpoint:
        return Endpoint(name=name, namespace=args.namespace, pods=selector, port=PORTS[port])

    def _deployment(self, name: str, args: EntranceArgs, selector: Mapping[str, str]) -> Deployment:
        account = service_account(self, name, args.namespace).metadata.name
        access.grant(self, name, account=account, namespace=args.namespace, served=args.served)
        return Deployment(
            f"{name}-deployment",
            metadata=self.metadata(args.namespace, name=name),
            spec=rolling(
                Pod(
                    containers=[_traefik(args)],
                    service_account=account,
                    volumes=[*self._told(name, args), token_volume(), _spool()],
                    grace_seconds=ENDPOINT_REMOVAL_SECONDS + DRAIN_SECONDS + _LEFTOVER_SECONDS,
                    priority_class=args.priority_class,
                ),
                self.metadata(),
                selector,
                replicas=None if args.autoscaling else args.replicas,
            ),
            opts=self.child(),
        )

    def _told(self, name: str, args: EntranceArgs) -> list[VolumeArgs]:
        """Its configuration as two volumes: the static one, and the dynamic one with the certificates."""
        static = pulumi.Output.all(*args.served.values()).apply(
            lambda namespaces: traefik_config.static(
                namespaces=namespaces, trusted_ranges=args.trusted_ranges, class_name=args.class_name
            )
        )
        dynamic = traefik_config.dynamic(
            args.routes,
            trusted_ranges=args.trusted_ranges,
            certificates=len(args.certificates),
            client_authority=args.client_authority is not None,
        )
        config_map = ConfigMap(
            f"{name}-config",
            metadata=self.metadata(args.namespace),
            immutable=True,
            data={"traefik.yaml": static, "routes.yaml": dynamic},
            opts=self.child(),
        ).metadata.name
        return [
            config_volume("static", config_map, "traefik.yaml"),
            VolumeArgs(name="dynamic", projected=_dynamic_files(config_map, args)),
        ]

    def _service(self, name: str, args: EntranceArgs, selector: Mapping[str, str]) -> Service:
        outside = args.service_type == "LoadBalancer"
        return Service(
            f"{name}-service",
            metadata=self.metadata(args.namespace, name=name, annotations=args.service_annotations),
            spec=ServiceSpecArgs(
                type=args.service_type,
                selector=dict(selector),
                # To pods on the node that was reached, so that callers keep their own addresses.
                external_traffic_policy="Local" if outside else None,
                load_balancer_source_ranges=(list(args.trusted_ranges) or None) if outside else None,
                allocate_load_balancer_node_ports=args.node_ports if outside else None,
                ports=[
                    ServicePortArgs(name=port, port=number, target_port=port, protocol="TCP")
                    for port, number in (("web", 80), ("websecure", 443))
                ],
            ),
            opts=self.child(),
        )

    def _ingress_class(self, name: str, args: EntranceArgs) -> None:
        IngressClass(
            f"{name}-class",
            # The name is fixed: every Ingress names it.
            metadata=self.metadata(name=args.class_name),
            spec=IngressClassSpecArgs(controller=CONTROLLER),
            opts=self.child(),
        )

    def _policies(self, name: str, args: EntranceArgs, selector: Mapping[str, str]) -> None:
        NetworkPolicy(
            f"{name}-from-outside",
            metadata=self.metadata(args.namespace),
            spec=NetworkPolicySpecArgs(
                pod_selector=LabelSelectorArgs(match_labels=selector),
                policy_types=["Ingress"],
                ingress=[
                    NetworkPolicyIngressRuleArgs(
                        from_=[
                            NetworkPolicyPeerArgs(ip_block=IPBlockArgs(cidr=cidr))
                            for cidr in args.trusted_ranges or _EVERYONE
                        ],
                        ports=[
                            NetworkPolicyPortArgs(protocol="TCP", port=PORTS[port])
                            for port in ("web", "websecure")
                        ],
                    )
                ],
            ),
            opts=self.child(),
        )
        # Two routes may lead to the same pods; those are connected once.
        backends = {route.backend.name: route.backend for route in args.routes}
        Connections(
            name,
            ConnectionsArgs(
                identity=args.identity,
                caller=self.endpoint,
                talks_to=[*backends.values(), args.api_server],
            ),
            opts=self.child(),
        )


def _traefik(args: EntranceArgs) -> Container:
    return Container(
        name="traefik",
        image=args.image,
        resources=args.resources,
        command=["traefik"],
        args=[f"--configFile={STATIC_FOLDER}/traefik.yaml"],
        ports=dict(PORTS),
        env={"TMPDIR": SPOOL_FOLDER},
        mounts=[
            VolumeMountArgs(name="static", mount_path=STATIC_FOLDER, read_only=True),
            # A whole folder, never single files: those would stay as they were when a Secret is renewed.
            VolumeMountArgs(name="dynamic", mount_path=DYNAMIC_FOLDER, read_only=True),
            VolumeMountArgs(name="spool", mount_path=SPOOL_FOLDER),
            token_mount(),
        ],
        startup=http_probe("/ping", port="ping", period_seconds=2, failure_threshold=30),
        readiness=_settled(http_probe("/ping", port="ping", period_seconds=2, failure_threshold=2)),
        liveness=http_probe("/ping", port="ping", period_seconds=10, failure_threshold=3),
        # It drains by itself when it is asked to stop, and its /ping says so meanwhile.
        drains=False,
    )


def _settled(probe: ProbeArgs) -> ProbeArgs:
    """Asks for several good answers: /ping is up at once, the routes only once the API server told them."""
    probe.success_threshold = 3
    return probe


def _dynamic_files(config_map: pulumi.Input[str], args: EntranceArgs) -> ProjectedVolumeSourceArgs:
    """The routes and the certificates in one folder, which Kubernetes then renews as one."""
    routes = ConfigMapProjectionArgs(
        name=config_map, items=[KeyToPathArgs(key="routes.yaml", path="routes.yaml")]
    )
    sources = [VolumeProjectionArgs(config_map=routes)]
    for number, secret in enumerate(args.certificates):
        certificate, key = traefik_config.certificate_files(number)
        items = [KeyToPathArgs(key="tls.crt", path=certificate), KeyToPathArgs(key="tls.key", path=key)]
        sources.append(VolumeProjectionArgs(secret=SecretProjectionArgs(name=secret, items=items)))
    if args.client_authority is not None:
        items = [KeyToPathArgs(key="ca.crt", path=traefik_config.client_authority_file())]
        authority = SecretProjectionArgs(name=args.client_authority, items=items)
        sources.append(VolumeProjectionArgs(secret=authority))
    return ProjectedVolumeSourceArgs(default_mode=0o440, sources=sources)


def _spool() -> VolumeArgs:
    """Where answers over a megabyte wait on routes that hold them; /tmp is too small for a busy hour."""
    return VolumeArgs(name="spool", empty_dir=EmptyDirVolumeSourceArgs(size_limit="1Gi"))
