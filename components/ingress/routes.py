"""The routes as Kubernetes objects, for whichever controller the cluster has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.networking.v1 import (
    HTTPIngressPathArgs,
    HTTPIngressRuleValueArgs,
    Ingress,
    IngressBackendArgs,
    IngressRuleArgs,
    IngressServiceBackendArgs,
    IngressSpecArgs,
    IngressTLSArgs,
    ServiceBackendPortArgs,
)

from components.base import Component, Identity
from components.ingress.route import CLASS_NAME, Route, ingress_annotations

_SKIP_AWAIT: Final = {"pulumi.com/skipAwait": "true"}
"""The provider would wait for an address in the Ingress's status, which ours is not allowed to write."""


@dataclass(frozen=True, kw_only=True)
class RoutesArgs:
    """What is reached from outside.

    Attributes:
        identity: whose it is.
        routes: the routes, with names and hosts of their own.
        class_name: the ingress class of the controller that serves them. With ours, `Entrance` must be given
            the same routes; with another, limits, headers and stickiness are that one's business.
        annotations: what another controller wants to be told, on each Ingress.
    """

    identity: Identity
    routes: Sequence[Route]
    class_name: str = CLASS_NAME
    annotations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses two routes that would be one object or one host."""
        for what in ("name", "host"):
            values = [getattr(route, what) for route in self.routes]
            if twice := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"two routes share the {what} {', '.join(twice)}")


class Routes(Component):
    """An Ingress for each route, beside the Service that it leads to.

    No Ingress names a certificate: the controller has its own.
    """

    TYPE = "fixia:ingress:Routes"

    hosts: list[str]
    """The host names."""

    def __init__(self, name: str, args: RoutesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        for route in args.routes:
            self._ingress(name, args, route)
        self.hosts = sorted(route.host for route in args.routes)
        self.finish()

    def _ingress(self, name: str, args: RoutesArgs, route: Route) -> Ingress:
        service = IngressServiceBackendArgs(
            name=route.service, port=ServiceBackendPortArgs(name=route.service_port)
        )
        path = HTTPIngressPathArgs(path="/", path_type="Prefix", backend=IngressBackendArgs(service=service))
        told = ingress_annotations(route) if args.class_name == CLASS_NAME else args.annotations
        return Ingress(
            f"{name}-{route.name}-ingress",
            # The name is fixed: the controller's metrics and logs name it.
            metadata=self.metadata(
                route.backend.namespace, name=route.name, annotations={**told, **_SKIP_AWAIT}
            ),
            spec=IngressSpecArgs(
                ingress_class_name=args.class_name,
                tls=[IngressTLSArgs(hosts=[route.host])],
                rules=[IngressRuleArgs(host=route.host, http=HTTPIngressRuleValueArgs(paths=[path]))],
            ),
            opts=self.child(),
        )
