"""The hardened pod: every pod of the platform is made here, so that none is less safe than another.

It meets Kubernetes' `restricted` pod security level and goes past it: a read-only root, no service account
token, no environment made from other services. Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import (
    CapabilitiesArgs,
    ContainerArgs,
    ContainerPortArgs,
    EmptyDirVolumeSourceArgs,
    EnvFromSourceArgs,
    HTTPGetActionArgs,
    LifecycleArgs,
    LifecycleHandlerArgs,
    PodSecurityContextArgs,
    PodSpecArgs,
    ProbeArgs,
    ResourceRequirementsArgs,
    SeccompProfileArgs,
    SecurityContextArgs,
    SleepActionArgs,
    TopologySpreadConstraintArgs,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs

USER: Final = 10001
"""Above 10,000, where no user of a node and no image's built-in user is found."""

ENDPOINT_REMOVAL_SECONDS: Final = 10
"""How long a stopping pod goes on accepting: Services and the entrance hear of its end only after a while."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one container asks for and may use.

    Attributes:
        cpu: requested, as a Kubernetes quantity; there is no limit, which would throttle and protect nobody.
        memory: requested.
        memory_limit: where the container is ended.
    """

    cpu: str
    memory: str
    memory_limit: str


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
class PodArgs:
    """One pod with one container.

    Attributes:
        name: the container's name.
        image: its image.
        port: where it listens for HTTP.
        resources: what it may use.
        probes: how it is asked how it is.
        selector: the labels that select its siblings, for the spread.
        service_account: the name of its own service account.
        drain_seconds: how long it may take to finish its requests when asked to stop.
        environment: ConfigMaps whose entries become environment variables.
        volumes: volumes beside the writable /tmp.
        mounts: where they are mounted.
        annotations: annotations of the pod.
    """

    name: str
    image: pulumi.Input[str]
    port: int
    resources: Resources
    probes: Probes
    selector: Mapping[str, str]
    service_account: pulumi.Input[str]
    drain_seconds: int
    environment: Sequence[EnvFromSourceArgs] = ()
    volumes: Sequence[VolumeArgs] = ()
    mounts: Sequence[VolumeMountArgs] = field(default=())


def hardened_pod(args: PodArgs) -> PodSpecArgs:
    """The specification of a pod that the `restricted` level admits and that survives its node and zone."""
    return PodSpecArgs(
        service_account_name=args.service_account,
        automount_service_account_token=False,
        enable_service_links=False,
        termination_grace_period_seconds=ENDPOINT_REMOVAL_SECONDS + args.drain_seconds,
        security_context=PodSecurityContextArgs(
            run_as_non_root=True,
            run_as_user=USER,
            run_as_group=USER,
            fs_group=USER,
            fs_group_change_policy="OnRootMismatch",
            seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
        ),
        topology_spread_constraints=[
            _spread("topology.kubernetes.io/zone", args.selector),
            _spread("kubernetes.io/hostname", args.selector),
        ],
        containers=[_hardened_container(args)],
        # A read-only root needs somewhere to write; the size keeps a runaway from filling the node's disk.
        volumes=[
            VolumeArgs(name="tmp", empty_dir=EmptyDirVolumeSourceArgs(size_limit="64Mi")),
            *args.volumes,
        ],
    )


def _hardened_container(args: PodArgs) -> ContainerArgs:
    return ContainerArgs(
        name=args.name,
        image=args.image,
        ports=[ContainerPortArgs(name="http", container_port=args.port, protocol="TCP")],
        env_from=list(args.environment),
        resources=ResourceRequirementsArgs(
            requests={"cpu": args.resources.cpu, "memory": args.resources.memory},
            limits={"memory": args.resources.memory_limit},
        ),
        security_context=SecurityContextArgs(
            run_as_non_root=True,
            privileged=False,
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=CapabilitiesArgs(drop=["ALL"]),
            seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
        ),
        startup_probe=_probe(args.probes.startup, period_seconds=2, failure_threshold=60),
        readiness_probe=_probe(args.probes.readiness, period_seconds=5, failure_threshold=2),
        liveness_probe=_probe(args.probes.liveness, period_seconds=10, failure_threshold=3),
        lifecycle=LifecycleArgs(
            pre_stop=LifecycleHandlerArgs(sleep=SleepActionArgs(seconds=ENDPOINT_REMOVAL_SECONDS))
        ),
        volume_mounts=[VolumeMountArgs(name="tmp", mount_path="/tmp"), *args.mounts],  # noqa: S108 the pod's own
    )


def _probe(path: str, *, period_seconds: int, failure_threshold: int) -> ProbeArgs:
    return ProbeArgs(
        http_get=HTTPGetActionArgs(path=path, port="http", scheme="HTTP"),
        period_seconds=period_seconds,
        failure_threshold=failure_threshold,
        timeout_seconds=2,
    )


def _spread(topology: str, selector: Mapping[str, str]) -> TopologySpreadConstraintArgs:
    return TopologySpreadConstraintArgs(
        topology_key=topology,
        max_skew=1,
        # A cluster that has lost a zone must still be able to start pods.
        when_unsatisfiable="ScheduleAnyway",
        label_selector=LabelSelectorArgs(match_labels=selector),
        # Count this release's pods alone: the ones that it replaces would pull the spread askew.
        match_label_keys=["pod-template-hash"],
    )
