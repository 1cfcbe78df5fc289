"""The hardened pod: every pod of the platform is made here, so that none is less safe than another.

It meets Kubernetes' `restricted` pod security level and goes past it: a read-only root, no service account
token, no environment made from other services.
Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
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
    EnvVarArgs,
    ExecActionArgs,
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
class Container:
    """One container.

    Attributes:
        name: its name, unique within the pod.
        image: its image.
        resources: what it may use.
        command: what it runs instead of the image's entrypoint.
        args: the arguments; never a secret.
        ports: name -> TCP port that it listens on.
        env: environment variables, none of them secret.
        environment: ConfigMaps whose entries become environment variables.
        mounts: where the pod's volumes are mounted; /tmp is always there.
        startup: when it is up; until then the other two are not asked.
        readiness: whether it should get requests.
        liveness: whether a restart would help; must not depend on another service.
        drains: whether it stays up a while after it was asked to stop, for those who have not heard of it.
        sidecar: as an init container: whether it goes on beside the containers, once it is up.
    """

    name: str
    image: pulumi.Input[str]
    resources: Resources
    command: Sequence[str] = ()
    args: Sequence[pulumi.Input[str]] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    env: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    environment: Sequence[EnvFromSourceArgs] = ()
    mounts: Sequence[VolumeMountArgs] = ()
    startup: ProbeArgs | None = None
    readiness: ProbeArgs | None = None
    liveness: ProbeArgs | None = None
    drains: bool = False
    sidecar: bool = False


@dataclass(frozen=True, kw_only=True)
class Pod:
    """One pod.

    Attributes:
        containers: what runs in it, all together.
        init_containers: what runs before, one after the other.
        service_account: the name of its own service account.
        volumes: its volumes, beside the small writable /tmp.
        spread: the labels that select its siblings, to spread them over zones and nodes; None for a lone pod.
        spread_within: labels whose values tell one generation of siblings from the next, such as a
            Deployment's `pod-template-hash`.
        grace_seconds: how long it may take to stop.
        priority_class: the name of its priority class.
        restart_policy: `Never` or `OnFailure` for a Job's pod.
        user: the user and group that it runs as.
    """

    containers: Sequence[Container]
    service_account: pulumi.Input[str]
    init_containers: Sequence[Container] = ()
    volumes: Sequence[VolumeArgs] = ()
    spread: Mapping[str, str] | None = None
    spread_within: Sequence[str] = ()
    grace_seconds: int = 30
    priority_class: pulumi.Input[str] | None = None
    restart_policy: str | None = None
    user: int = USER


def hardened_pod(pod: Pod) -> PodSpecArgs:
    """The specification of a pod that the `restricted` level admits and that survives its node and zone."""
    topologies = ("topology.kubernetes.io/zone", "kubernetes.io/hostname") if pod.spread is not None else ()
    return PodSpecArgs(
        service_account_name=pod.service_account,
        automount_service_account_token=False,
        enable_service_links=False,
        priority_class_name=pod.priority_class,
        restart_policy=pod.restart_policy,
        termination_grace_period_seconds=pod.grace_seconds,
        security_context=PodSecurityContextArgs(
            run_as_non_root=True,
            run_as_user=pod.user,
            run_as_group=pod.user,
            fs_group=pod.user,
            fs_group_change_policy="OnRootMismatch",
            seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
        ),
        topology_spread_constraints=[_spread(topology, pod) for topology in topologies] or None,
        init_containers=[_hardened(container) for container in pod.init_containers] or None,
        containers=[_hardened(container) for container in pod.containers],
        # A read-only root needs somewhere to write; the size keeps a runaway from filling the node's disk.
        volumes=[VolumeArgs(name="tmp", empty_dir=EmptyDirVolumeSourceArgs(size_limit="64Mi")), *pod.volumes],
    )


def http_probe(path: str, *, port: str = "http", period_seconds: int, failure_threshold: int) -> ProbeArgs:
    """Asks a container by HTTP; it has two seconds to answer."""
    return ProbeArgs(
        http_get=HTTPGetActionArgs(path=path, port=port, scheme="HTTP"),
        period_seconds=period_seconds,
        failure_threshold=failure_threshold,
        timeout_seconds=2,
    )


def command_probe(
    command: Sequence[str], *, period_seconds: int, failure_threshold: int, timeout_seconds: int = 5
) -> ProbeArgs:
    """Asks a container by running a command inside it."""
    return ProbeArgs(
        exec_=ExecActionArgs(command=list(command)),
        period_seconds=period_seconds,
        failure_threshold=failure_threshold,
        timeout_seconds=timeout_seconds,
    )


def _hardened(container: Container) -> ContainerArgs:
    stop = LifecycleHandlerArgs(sleep=SleepActionArgs(seconds=ENDPOINT_REMOVAL_SECONDS))
    return ContainerArgs(
        name=container.name,
        image=container.image,
        command=list(container.command) or None,
        args=list(container.args) or None,
        ports=[
            ContainerPortArgs(name=name, container_port=port, protocol="TCP")
            for name, port in container.ports.items()
        ]
        or None,
        env=[EnvVarArgs(name=name, value=value) for name, value in container.env.items()] or None,
        env_from=list(container.environment) or None,
        resources=ResourceRequirementsArgs(
            requests={"cpu": container.resources.cpu, "memory": container.resources.memory},
            limits={"memory": container.resources.memory_limit},
        ),
        security_context=SecurityContextArgs(
            run_as_non_root=True,
            privileged=False,
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=CapabilitiesArgs(drop=["ALL"]),
            seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
        ),
        startup_probe=container.startup,
        readiness_probe=container.readiness,
        liveness_probe=container.liveness,
        lifecycle=LifecycleArgs(pre_stop=stop) if container.drains else None,
        restart_policy="Always" if container.sidecar else None,
        volume_mounts=[
            VolumeMountArgs(name="tmp", mount_path="/tmp"),  # noqa: S108 the pod's own
            *container.mounts,
        ],
    )


def _spread(topology: str, pod: Pod) -> TopologySpreadConstraintArgs:
    return TopologySpreadConstraintArgs(
        topology_key=topology,
        max_skew=1,
        # A cluster that has lost a zone must still be able to start pods.
        when_unsatisfiable="ScheduleAnyway",
        label_selector=LabelSelectorArgs(match_labels=pod.spread),
        match_label_keys=list(pod.spread_within) or None,
    )
