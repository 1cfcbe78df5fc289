"""A stateless service that stays up: through releases, busy hours, drained nodes and lost zones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi_kubernetes.apps.v1 import (
    Deployment,
    DeploymentSpecArgs,
    DeploymentStrategyArgs,
    RollingUpdateDeploymentArgs,
)
from pulumi_kubernetes.core.v1 import PodTemplateSpecArgs, Service, ServicePortArgs, ServiceSpecArgs
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs

from components.application.configuration import Configuration, configuration
from components.application.scaling import Autoscaling, autoscaler, disruption_budget
from components.base import Component, Identity
from components.network import Addresses, Connections, ConnectionsArgs, Endpoint
from components.platform.service_account import service_account
from components.pods import (
    ENDPOINT_REMOVAL_SECONDS,
    Container,
    Pod,
    Resources,
    hardened_pod,
    http_probe,
)


@dataclass(frozen=True, kw_only=True)
class Probes:
    """HTTP paths on the container's port.

    Attributes:
        startup: answers once the process is up; 60 tries, 2 seconds apart.
        readiness: answers while the pod should get requests.
        liveness: answers while a restart would not help; must not depend on another service.
    """

    startup: str
    readiness: str
    liveness: str


@dataclass(frozen=True, kw_only=True)
class WorkloadArgs:
    """One stateless service.

    Attributes:
        identity: whose it is.
        namespace: where its pods run.
        image: the container image, with a tag.
        port: where the container listens for HTTP; the Service answers on 80.
        resources: what a pod may use.
        autoscaling: how many pods there are.
        probes: how a pod is asked how it is.
        drain_seconds: how long a stopping pod may take to finish its requests.
        talks_to: everything that it calls; DNS needs no mention.
        config: environment variables, none of them secret.
        secrets: credentials by name, mounted as files.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    port: int
    resources: Resources
    autoscaling: Autoscaling
    probes: Probes
    drain_seconds: int = 30
    talks_to: Sequence[Endpoint | Addresses] = ()
    config: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)


class Workload(Component):
    """A Deployment with what it needs in production: autoscaler, budget, account, Service, policies.

    A release starts a new pod, waits until it is ready, then stops an old one; one that never gets ready
    leaves the old pods serving and fails after ten minutes.
    """

    TYPE = "fixia:application:Workload"

    service: pulumi.Output[str]
    """The Service's name, which is also its DNS name within the namespace."""
    deployment: pulumi.Output[str]
    """The Deployment's name in the cluster."""

    def __init__(self, name: str, args: WorkloadArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        # A selector can never be changed, so it holds only what never does.
        selector = {
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/part-of": args.identity.product,
        }
        self.endpoint = Endpoint(name=name, namespace=args.namespace, pods=selector, port=args.port)
        deployment = self._deployment(name, args, selector)
        self.deployment = deployment.metadata.name
        self.service = self._service(name, args, selector).metadata.name
        autoscaler(self, name, args.namespace, deployment=self.deployment, autoscaling=args.autoscaling)
        disruption_budget(self, name, args.namespace, selector=selector)
        Connections(
            name,
            ConnectionsArgs(identity=args.identity, caller=self.endpoint, talks_to=args.talks_to),
            opts=self.child(),
        )
        self.finish()

    def _deployment(self, name: str, args: WorkloadArgs, selector: Mapping[str, str]) -> Deployment:
        told = configuration(self, name, args.namespace, config=args.config, secrets=args.secrets)
        account = service_account(self, name, args.namespace)
        return Deployment(
            f"{name}-deployment",
            metadata=self.metadata(args.namespace, name=name),
            spec=DeploymentSpecArgs(
                # No `replicas`: the autoscaler owns it, and a release must not undo what it decided.
                selector=LabelSelectorArgs(match_labels=selector),
                strategy=DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0),
                ),
                min_ready_seconds=5,
                progress_deadline_seconds=600,
                revision_history_limit=5,
                template=PodTemplateSpecArgs(
                    metadata=self.metadata(),
                    spec=hardened_pod(
                        Pod(
                            containers=[_container(name, args, told)],
                            service_account=account.metadata.name,
                            volumes=told.volumes,
                            spread=selector,
                            # Count this release's pods alone: those that it replaces would pull it askew.
                            spread_within=["pod-template-hash"],
                            grace_seconds=ENDPOINT_REMOVAL_SECONDS + args.drain_seconds,
                        )
                    ),
                ),
            ),
            opts=self.child(),
        )

    def _service(self, name: str, args: WorkloadArgs, selector: Mapping[str, str]) -> Service:
        return Service(
            f"{name}-service",
            # The name is fixed: other workloads call it.
            metadata=self.metadata(args.namespace, name=name),
            spec=ServiceSpecArgs(
                type="ClusterIP",
                selector=dict(selector),
                ports=[ServicePortArgs(name="http", port=80, target_port="http", protocol="TCP")],
            ),
            opts=self.child(),
        )


def _container(name: str, args: WorkloadArgs, told: Configuration) -> Container:
    return Container(
        name=name,
        image=args.image,
        resources=args.resources,
        ports={"http": args.port},
        environment=told.environment,
        mounts=told.mounts,
        startup=http_probe(args.probes.startup, period_seconds=2, failure_threshold=60),
        readiness=http_probe(args.probes.readiness, period_seconds=5, failure_threshold=2),
        liveness=http_probe(args.probes.liveness, period_seconds=10, failure_threshold=3),
        drains=True,
    )
