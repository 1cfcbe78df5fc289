"""One namespace: a tier of the platform, with a budget, pod security and closed doors."""

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes import core
from pulumi_kubernetes.core.v1 import (
    LimitRange,
    LimitRangeItemArgs,
    LimitRangeSpecArgs,
    ResourceQuota,
    ResourceQuotaSpecArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs
from pulumi_kubernetes.networking.v1 import (
    NetworkPolicy,
    NetworkPolicyEgressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicyPortArgs,
    NetworkPolicySpecArgs,
)

from components.base import Component, Identity

RESTRICTED: Final = "restricted"
PRIVILEGED: Final = "privileged"
"""What pods may be. Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/"""

_PREFIX: Final = "pod-security.kubernetes.io"

POD_SECURITY: Final = {
    f"{_PREFIX}/{mode}{suffix}": value
    for mode in ("enforce", "audit", "warn")
    for suffix, value in (("", RESTRICTED), ("-version", "latest"))
}


@dataclass(frozen=True, kw_only=True)
class Quota:
    """The most that the namespace's pods may request together.

    Attributes:
        cpu: as a Kubernetes quantity.
        memory: as a Kubernetes quantity.
        pods: how many there may be.
        node_ports: how many ports of the nodes lead in; only an entrance may need some.
    """

    cpu: str
    memory: str
    pods: int
    node_ports: int = 0


@dataclass(frozen=True, kw_only=True)
class NamespaceArgs:
    """One namespace.

    Attributes:
        identity: whose it is.
        quota: its budget.
        reads_nodes: whether its pods may mount folders of their node. It is none but the collector's: the
            API server then lets in whatever anybody starts there, and only notes what is not restricted.
    """

    identity: Identity
    quota: Quota
    reads_nodes: bool = False


class Namespace(Component):
    """A namespace `<product>-<name>` in which nothing is allowed that nobody declared.

    Pods must meet the `restricted` level (but for the one that `reads_nodes`), stay within the quota and,
    where they say nothing, get small defaults. Traffic is denied in both directions, but for DNS.
    """

    TYPE = "fixia:platform:Namespace"

    namespace: pulumi.Output[str]
    """The namespace's name in the cluster."""

    def __init__(self, name: str, args: NamespaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        namespace = core.v1.Namespace(
            f"{name}-namespace",
            # The name is fixed: people type it, and a policy can read it before it exists.
            metadata=self.metadata(name=f"{args.identity.product}-{name}", labels=levels(args.reads_nodes)),
            opts=self.child(),
        )
        self.namespace = namespace.metadata.name
        self._budget(name, args.quota)
        self._walls(name)
        self.finish()

    def _budget(self, name: str, quota: Quota) -> None:
        ResourceQuota(
            f"{name}-quota",
            metadata=self.metadata(self.namespace),
            spec=ResourceQuotaSpecArgs(
                hard={
                    "requests.cpu": quota.cpu,
                    "requests.memory": quota.memory,
                    "pods": str(quota.pods),
                    "services.nodeports": str(quota.node_ports),
                }
            ),
            opts=self.child(),
        )
        LimitRange(
            f"{name}-limits",
            metadata=self.metadata(self.namespace),
            spec=LimitRangeSpecArgs(
                limits=[
                    LimitRangeItemArgs(
                        type="Container",
                        default_request={"cpu": "50m", "memory": "64Mi"},
                        default={"memory": "128Mi"},
                    )
                ]
            ),
            opts=self.child(),
        )

    def _walls(self, name: str) -> None:
        everyone = LabelSelectorArgs()
        NetworkPolicy(
            f"{name}-default-deny",
            metadata=self.metadata(self.namespace),
            spec=NetworkPolicySpecArgs(pod_selector=everyone, policy_types=["Ingress", "Egress"]),
            opts=self.child(),
        )
        NetworkPolicy(
            f"{name}-dns",
            metadata=self.metadata(self.namespace),
            spec=NetworkPolicySpecArgs(
                pod_selector=everyone,
                policy_types=["Egress"],
                egress=[
                    NetworkPolicyEgressRuleArgs(
                        to=[
                            NetworkPolicyPeerArgs(
                                namespace_selector=LabelSelectorArgs(
                                    match_labels={"kubernetes.io/metadata.name": "kube-system"}
                                ),
                                pod_selector=LabelSelectorArgs(match_labels={"k8s-app": "kube-dns"}),
                            )
                        ],
                        ports=[
                            NetworkPolicyPortArgs(protocol=protocol, port=53) for protocol in ("UDP", "TCP")
                        ],
                    )
                ],
            ),
            opts=self.child(),
        )


def levels(reads_nodes: bool) -> dict[str, str]:
    """The labels by which the API server judges pods.

    Args:
        reads_nodes: whether they may mount folders of their node.
    """
    if not reads_nodes:
        return POD_SECURITY
    # A folder of the node is beyond `baseline` too, and nothing is between that and `privileged`. A warning
    # at each deployment would teach people not to read them; the audit log keeps what is not restricted.
    return {**POD_SECURITY, f"{_PREFIX}/enforce": PRIVILEGED, f"{_PREFIX}/warn": PRIVILEGED}
