"""Who may call whom where CloudNativePG runs the database; the namespace denies all else."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from pulumi_kubernetes.meta.v1 import LabelSelectorArgs
from pulumi_kubernetes.networking.v1 import (
    NetworkPolicy,
    NetworkPolicyIngressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicyPortArgs,
    NetworkPolicySpecArgs,
)

from components.base import Component, Identity
from components.network import Addresses, Connections, ConnectionsArgs, Endpoint

STATUS_PORT: Final = 8000
"""Where the operator asks an instance how it is, and one instance another."""

MAKERS: Final[Mapping[str, bool]] = {"initdb": False, "join": True}
"""The operator's jobs that make an instance: whether they copy one that there is.

Their pods are none of the instances' by the labels. Source: its pkg/specs/jobs.go, `CreatePrimaryJob`.
"""
RECOVERS: Final = "full-recovery"
"""The one that makes the first instance of a backup, in the place of `initdb`."""


def connect(
    owner: Component,
    identity: Identity,
    *,
    instances: Endpoint,
    pool: Endpoint,
    api_server: Addresses,
    operator_namespace: str,
    archive: Addresses | None = None,
    recovers: bool = False,
) -> None:
    """Instances call each other, pool and operator call them, and all but the operator call the API server.

    Args:
        owner: the component that the policies belong to.
        identity: whose it is.
        instances: PostgreSQL's pods; the endpoint's name is the Cluster's.
        pool: PgBouncer's pods.
        api_server: the cluster's API server.
        operator_namespace: where the operator runs.
        archive: where instances archive to and are recovered from.
        recovers: whether a new Cluster is made of that.
    """
    name = instances.name
    status = replace(instances, name=f"{name}-status", port=STATUS_PORT)
    calls: list[tuple[Endpoint, list[Endpoint | Addresses]]] = [
        (instances, [instances, status, api_server, *([archive] if archive else [])]),
        (pool, [instances, api_server]),
    ]
    for job, copies in MAKERS.items():
        labels = {"cnpg.io/cluster": name, "cnpg.io/jobRole": job}
        maker = replace(instances, name=f"{name}-{job}", pods=labels)
        calls.append((maker, [*([instances] if copies else []), api_server]))
    if archive and recovers:
        labels = {"cnpg.io/cluster": name, "cnpg.io/jobRole": RECOVERS}
        calls.append((replace(instances, name=f"{name}-{RECOVERS}", pods=labels), [api_server, archive]))
    for caller, callees in calls:
        Connections(
            caller.name,
            ConnectionsArgs(identity=identity, caller=caller, talks_to=callees),
            opts=owner.child(),
        )
    operator = NetworkPolicyPeerArgs(
        namespace_selector=LabelSelectorArgs(
            match_labels={"kubernetes.io/metadata.name": operator_namespace}
        ),
        pod_selector=LabelSelectorArgs(match_labels={"app.kubernetes.io/name": "cloudnative-pg"}),
    )
    # One of its own: `Connections` would bound all that the operator calls, for everybody.
    NetworkPolicy(
        f"{name}-operator",
        metadata=owner.metadata(instances.namespace),
        spec=NetworkPolicySpecArgs(
            pod_selector=LabelSelectorArgs(match_labels=instances.pods),
            policy_types=["Ingress"],
            ingress=[
                NetworkPolicyIngressRuleArgs(
                    from_=[operator],
                    ports=[
                        NetworkPolicyPortArgs(protocol="TCP", port=port)
                        for port in (STATUS_PORT, instances.port)
                    ],
                )
            ],
        ),
        opts=owner.child(),
    )
