"""What keeps logs or traces: one pod with a volume of its own, asked over TLS by who shows a certificate.

Neither Loki nor Jaeger knows passwords. Both ask for a certificate of the platform's own authority instead,
and network policy says whose pods come near them at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import StatefulSet
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpecArgs,
    PersistentVolumeClaimVolumeSourceArgs,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
    VolumeResourceRequirementsArgs,
)

from components.base import Component, Identity
from components.platform.authority import Authority
from components.platform.service_account import service_account
from components.pods import Container, Pod, Resources
from components.statefulsets import single
from components.volumes import config_volume, secret_volume

CONFIG_FOLDER: Final = "/etc/store"
DATA_FOLDER: Final = "/data"
GRACE_SECONDS: Final = 120
"""What is in memory is written down before it stops."""

MEMORY_SHARE: Final = 0.9
"""Of the limit: where Go frees memory rather than be ended."""

_UNITS: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


@dataclass(frozen=True, kw_only=True)
class StoreArgs:
    """One store.

    Attributes:
        identity: whose it is.
        namespace: where its pod runs.
        image: its image, with a tag.
        resources: what it may use.
        authority: who signs its certificate, and those of who may ask.
        retention_days: how long something is kept.
        storage: the volume's size, as a Kubernetes quantity; it can grow.
        storage_class: the volume's storage class; the cluster's default unless told.
        priority_class: the name of the pod's priority class.
        protect: refuses to delete the volume.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    resources: Resources
    authority: Authority
    retention_days: int
    storage: str = "10Gi"
    storage_class: pulumi.Input[str] | None = None
    priority_class: pulumi.Input[str] | None = None
    protect: bool = True


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a store consists of in the cluster.

    Attributes:
        service: the Service's name.
        stateful_set: the StatefulSet's name.
        claim: the volume claim's name.
    """

    service: pulumi.Output[str]
    stateful_set: pulumi.Output[str]
    claim: pulumi.Output[str]


def go_memory(resources: Resources) -> dict[str, pulumi.Input[str]]:
    """The environment that tells a Go program how much memory it has.

    Args:
        resources: what it may use; the limit in Ki, Mi or Gi.
    """
    limit = resources.memory_limit
    size = int(limit[:-2]) * _UNITS[limit[-2:]] if limit[-2:] in _UNITS else int(limit)
    return {"GOMEMLIMIT": str(int(size * MEMORY_SHARE))}


def made(
    owner: Component,
    name: str,
    args: StoreArgs,
    container: Container,
    *,
    selector: Mapping[str, str],
    files: Mapping[str, str],
    tls_folder: str,
    ports: Sequence[tuple[str, int]],
) -> Made:
    """The objects of one store.

    The volume outlives the pod and the StatefulSet. There is one pod and so no disruption budget, which would
    block every drain of its node. The configuration is immutable and named by the engine: a change of it is a
    new pod. The certificate is read anew by itself; what it trusts at the next start.

    Args:
        owner: the component.
        name: its name, and its Service's.
        args: what it was told.
        container: what runs, without the mounts that are made here.
        selector: the labels of its pod.
        files: its configuration.
        tls_folder: where its certificate is mounted.
        ports: those of the container that others call, by name.
    """
    claim = PersistentVolumeClaim(
        f"{name}-data",
        metadata=owner.metadata(args.namespace),
        spec=PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            storage_class_name=args.storage_class,
            resources=VolumeResourceRequirementsArgs(requests={"storage": args.storage}),
        ),
        opts=owner.child(protect=args.protect),
    )
    config = ConfigMap(
        f"{name}-config",
        metadata=owner.metadata(args.namespace),
        immutable=True,
        data=dict(files),
        opts=owner.child(),
    )
    host = pulumi.Output.concat(name, ".", args.namespace, ".svc")
    inside = pulumi.Output.concat(name, ".", args.namespace)
    signed = args.authority.issue(owner, name, args.namespace, [name, inside, host, "localhost"])
    claimed = PersistentVolumeClaimVolumeSourceArgs(claim_name=claim.metadata.name)
    pod = Pod(
        containers=[_mounted(container, tls_folder)],
        service_account=service_account(owner, name, args.namespace).metadata.name,
        volumes=[
            config_volume("config", config.metadata.name),
            secret_volume("tls", signed),
            VolumeArgs(name="data", persistent_volume_claim=claimed),
        ],
        grace_seconds=GRACE_SECONDS,
        priority_class=args.priority_class,
    )
    stateful_set = StatefulSet(
        f"{name}-stateful-set",
        metadata=owner.metadata(args.namespace, name=name),
        # Nobody calls the pod by a name of its own: its Service has the one pod.
        spec=single(pod, owner.metadata(), selector, service=name),
        opts=owner.child(),
    )
    service = Service(
        f"{name}-service",
        # The name is fixed: clients call it, and the certificate is for it.
        metadata=owner.metadata(args.namespace, name=name),
        spec=ServiceSpecArgs(
            type="ClusterIP",
            selector=dict(selector),
            ports=[
                ServicePortArgs(name=port, port=number, target_port=port, protocol="TCP")
                for port, number in ports
            ],
        ),
        opts=owner.child(),
    )
    return Made(
        service=service.metadata.name,
        stateful_set=stateful_set.metadata.name,
        claim=claim.metadata.name,
    )


def _mounted(container: Container, tls_folder: str) -> Container:
    read = {"config": CONFIG_FOLDER, "tls": tls_folder}
    mounts = [
        *(VolumeMountArgs(name=each, mount_path=path, read_only=True) for each, path in read.items()),
        VolumeMountArgs(name="data", mount_path=DATA_FOLDER),
    ]
    return replace(container, mounts=mounts)
