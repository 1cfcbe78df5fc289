"""A stateless service that stays up: through releases, busy hours, drained nodes and lost zones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi_kubernetes.apps.v1 import (
    Deployment,
)
from pulumi_kubernetes.core.v1 import Service, ServicePortArgs, ServiceSpecArgs

from components.application.container import Application
from components.application.scaling import Autoscaling, autoscaler, disruption_budget
from components.base import Component, Identity
from components.deployments import rolling
from components.network import Connections, ConnectionsArgs, endpoint
from components.platform.service_account import service_account
from components.pods import ENDPOINT_REMOVAL_SECONDS, Pod
from components.watch import Target, Watch


@dataclass(frozen=True, kw_only=True)
class WorkloadArgs:
    """One stateless service.

    Attributes:
        identity: whose it is.
        namespace: where its pods run.
        application: what runs in them.
        autoscaling: how many there are.
        drain_seconds: how long a stopping pod may take to finish its requests.
        has_service: whether others call it; the Service answers on port 80.
        service_annotations: what the entrance is told on the Service.
        priority_class: the name of its pods' priority class.
        after: what must have succeeded before a new version is rolled out.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    application: Application
    autoscaling: Autoscaling
    drain_seconds: int = 30
    has_service: bool = True
    service_annotations: Mapping[str, str] = field(default_factory=dict)
    priority_class: pulumi.Input[str] | None = None
    after: Sequence[pulumi.Resource] = ()


class Workload(Component):
    """A Deployment with what it needs in production: autoscaler, budget, account, Service, policies.

    A release starts a new pod, waits until it is ready, then stops an old one; one that never gets ready
    leaves the old pods serving and fails after ten minutes without progress.
    """

    TYPE = "fixia:application:Workload"

    deployment: pulumi.Output[str]
    """The Deployment's name in the cluster."""
    service: pulumi.Output[str] | None
    """The Service's name, which is also its DNS name within the namespace; None if nobody calls it."""

    def __init__(self, name: str, args: WorkloadArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        self.endpoint = endpoint(args.identity, name, args.namespace, args.application.port)
        self.metrics = endpoint(args.identity, name, args.namespace, args.application.metrics_port)
        selector = self.endpoint.pods
        self.deployment = self._deployment(name, args, selector).metadata.name
        self.service = self._service(name, args, selector).metadata.name if args.has_service else None
        autoscaler(self, name, args.namespace, deployment=self.deployment, autoscaling=args.autoscaling)
        disruption_budget(self, name, args.namespace, selector=selector)
        Connections(
            name,
            ConnectionsArgs(identity=args.identity, caller=self.endpoint, talks_to=args.application.talks_to),
            opts=self.child(),
        )
        self.watch = Watch(name=name, targets=[Target(job=name, endpoint=self.metrics)])
        self.finish()

    def _deployment(self, name: str, args: WorkloadArgs, selector: Mapping[str, str]) -> Deployment:
        told = args.application.told(self, name, args.namespace)
        account = service_account(self, name, args.namespace)
        patience = f"{10 + 3 * args.autoscaling.max}m"
        return Deployment(
            f"{name}-deployment",
            metadata=self.metadata(args.namespace, name=name),
            spec=rolling(
                Pod(
                    containers=[args.application.container(name, told)],
                    service_account=account.metadata.name,
                    volumes=told.volumes,
                    grace_seconds=ENDPOINT_REMOVAL_SECONDS + args.drain_seconds,
                    priority_class=args.priority_class,
                ),
                self.metadata(),
                selector,
                # No replicas: the autoscaler owns them.
            ),
            opts=self.child(
                depends_on=list(args.after),
                # One pod after the other; Kubernetes itself gives up on one that makes no progress.
                custom_timeouts=pulumi.CustomTimeouts(create=patience, update=patience),
            ),
        )

    def _service(self, name: str, args: WorkloadArgs, selector: Mapping[str, str]) -> Service:
        return Service(
            f"{name}-service",
            # The name is fixed: other workloads call it.
            metadata=self.metadata(
                args.namespace,
                name=name,
                # It would wait for pods, which wait for the release.
                annotations={**args.service_annotations, "pulumi.com/skipAwait": "true"},
            ),
            spec=ServiceSpecArgs(
                type="ClusterIP",
                selector=dict(selector),
                ports=[ServicePortArgs(name="http", port=80, target_port="http", protocol="TCP")],
            ),
            opts=self.child(),
        )
