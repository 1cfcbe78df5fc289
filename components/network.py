"""Who may talk to whom, declared once.

`talks_to=[pool, internet]` on the caller becomes one policy of egress on the caller and one of ingress on
each callee. Each namespace denies everything else, in both directions (`components.platform.namespace`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs
from pulumi_kubernetes.networking.v1 import (
    IPBlockArgs,
    NetworkPolicy,
    NetworkPolicyEgressRuleArgs,
    NetworkPolicyIngressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicyPortArgs,
    NetworkPolicySpecArgs,
)

from components.base import Component, Identity
from components.platform.credentials import Credential


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Pods that can be called.

    Attributes:
        name: what they are, such as `api`.
        namespace: where they run.
        pods: the labels that select them.
        port: the TCP port that they listen on, on the pod itself; policies apply behind the Service.
        config: environment variables that a caller is told, such as the host's name.
        credentials: what a caller must know, by name.
        encrypted: whether a caller must trust the platform's own certificate authority.
        foreign: whether they run in somebody else's namespace, whose ways in are not ours to open or close.
    """

    name: str
    namespace: pulumi.Input[str]
    pods: Mapping[str, str]
    port: int
    config: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    credentials: Mapping[str, Credential] = field(default_factory=dict)
    encrypted: bool = False
    foreign: bool = False


def endpoint(identity: Identity, name: str, namespace: pulumi.Input[str], port: int) -> Endpoint:
    """The pods of one component, by the labels that `components.base` gives them.

    Args:
        identity: whose they are.
        name: the component's name.
        namespace: where they run.
        port: the TCP port that they listen on.
    """
    # Used as selectors too, which can never be changed: only what never does.
    pods = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": identity.product}
    return Endpoint(name=name, namespace=namespace, pods=pods, port=port)


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Addresses outside the cluster that can be called.

    Attributes:
        name: what they are, such as `internet`.
        cidrs: address ranges -> those within that stay closed.
        port: the TCP port.
    """

    name: str
    cidrs: Mapping[str, Sequence[str]]
    port: int


INTERNET: Final = Addresses(
    name="internet",
    cidrs={
        # Private, shared, link-local (a cloud's metadata) and loopback ranges are nobody's public API.
        "0.0.0.0/0": [
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.168.0.0/16",
        ],
        "::/0": ["::1/128", "fc00::/7", "fe80::/10"],
    },
    port=443,
)
"""HTTPS to the public internet, and to nothing private. Source: RFC 6890."""


@dataclass(frozen=True, kw_only=True)
class ConnectionsArgs:
    """One caller's connections.

    Attributes:
        identity: whose they are.
        caller: the pods that call.
        talks_to: what they call.
    """

    identity: Identity
    caller: Endpoint
    talks_to: Sequence[Endpoint | Addresses]


class Connections(Component):
    """The network policies of one caller: its egress, and the ingress of each that it calls."""

    TYPE = "fixia:network:Connections"

    policies: pulumi.Output[list[str]]
    """The names of the policies."""

    def __init__(self, name: str, args: ConnectionsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        policies = []
        if args.talks_to:
            policies.append(self._egress(name, args))
        for callee in args.talks_to:
            if isinstance(callee, Endpoint) and not callee.foreign:
                policies.append(self._ingress(name, args.caller, callee))
        self.policies = pulumi.Output.all(*[policy.metadata.name for policy in policies]).apply(list)
        self.finish()

    def _egress(self, name: str, args: ConnectionsArgs) -> NetworkPolicy:
        return NetworkPolicy(
            f"{name}-egress",
            metadata=self.metadata(args.caller.namespace),
            spec=NetworkPolicySpecArgs(
                pod_selector=LabelSelectorArgs(match_labels=args.caller.pods),
                policy_types=["Egress"],
                egress=[
                    NetworkPolicyEgressRuleArgs(to=_peers(callee), ports=[_tcp(callee.port)])
                    for callee in args.talks_to
                ],
            ),
            opts=self.child(),
        )

    def _ingress(self, name: str, caller: Endpoint, callee: Endpoint) -> NetworkPolicy:
        return NetworkPolicy(
            f"{name}-to-{callee.name}",
            metadata=self.metadata(callee.namespace),
            spec=NetworkPolicySpecArgs(
                pod_selector=LabelSelectorArgs(match_labels=callee.pods),
                policy_types=["Ingress"],
                ingress=[NetworkPolicyIngressRuleArgs(from_=_peers(caller), ports=[_tcp(callee.port)])],
            ),
            opts=self.child(),
        )


def _peers(other: Endpoint | Addresses) -> list[NetworkPolicyPeerArgs]:
    if isinstance(other, Addresses):
        return [
            NetworkPolicyPeerArgs(ip_block=IPBlockArgs(cidr=cidr, except_=list(closed) or None))
            for cidr, closed in other.cidrs.items()
        ]
    # Both selectors in one peer: these pods in that namespace. As two peers they would mean either.
    return [
        NetworkPolicyPeerArgs(
            namespace_selector=LabelSelectorArgs(
                match_labels={"kubernetes.io/metadata.name": other.namespace}
            ),
            pod_selector=LabelSelectorArgs(match_labels=other.pods),
        )
    ]


def _tcp(port: int) -> NetworkPolicyPortArgs:
    return NetworkPolicyPortArgs(protocol="TCP", port=port)
