"""One NetworkPolicy: which pods it isolates, and which connections its rules let through.

It is read as the API server would take it; what that would refuse is a `ValueError` here, not a guess.
Source: https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, Literal, TypeAlias

from simulator.reachability.parties import NAME_LABEL, Object, Party, Pod, Port, namespace_of

Direction: TypeAlias = Literal["Ingress", "Egress"]
Network: TypeAlias = IPv4Network | IPv6Network

_RULES_AT: Final[Mapping[Direction, tuple[str, str]]] = {
    "Ingress": ("ingress", "from"),
    "Egress": ("egress", "to"),
}
"""A direction -> the key of its rules, and the key of a rule's peers."""


@dataclass(frozen=True)
class Requirement:
    """One condition on labels.

    Attributes:
        key: the label.
        operator: `In`, `NotIn`, `Exists` or `DoesNotExist`.
        values: what the first two compare with.
    """

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.operator not in {"In", "NotIn", "Exists", "DoesNotExist"}:
            raise ValueError(f"{self.operator!r} is no operator of a label selector")
        if bool(self.values) != (self.operator in {"In", "NotIn"}):
            raise ValueError(f"{self.operator} on {self.key!r} with {len(self.values)} values")

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet the condition.

        Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/label-selector/
        """
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                # A label that is missing is not among the values either.
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case _:
                return self.key not in labels


@dataclass(frozen=True)
class Selector:
    """A label selector: all of its requirements together; without any it selects everything."""

    requirements: tuple[Requirement, ...] = ()

    @classmethod
    def read(cls, node: Object) -> "Selector":
        """The selector that a node of an object describes."""
        equal = [Requirement(key, "In", (value,)) for key, value in (node.get("matchLabels") or {}).items()]
        expressions = [
            Requirement(each["key"], each["operator"], tuple(each.get("values") or ()))
            for each in node.get("matchExpressions") or ()
        ]
        return cls((*equal, *expressions))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether it selects what carries the labels."""
        return all(requirement.matches(labels) for requirement in self.requirements)


@dataclass(frozen=True)
class PodPeer:
    """Pods on the other end: those that one selector selects, in the namespaces that the other does."""

    namespaces: Selector
    pods: Selector

    def matches(self, party: Party) -> bool:
        """Whether the party is one of them; an address outside never is."""
        return (
            isinstance(party, Pod)
            and self.namespaces.matches(party.namespace_labels)
            and self.pods.matches(party.labels)
        )


@dataclass(frozen=True)
class BlockPeer:
    """Addresses on the other end: a range without those that are taken out of it."""

    network: Network
    excepted: tuple[Network, ...]

    def __post_init__(self) -> None:
        for hole in self.excepted:
            inside = hole.version == self.network.version and hole.prefixlen > self.network.prefixlen
            if not inside or hole.network_address not in self.network:
                raise ValueError(f"except {hole} is not a part of {self.network}")

    def matches(self, party: Party) -> bool:
        """Whether one of the party's addresses is in the range."""
        return any(
            address in self.network and not any(address in hole for hole in self.excepted)
            for address in party.addresses
        )


@dataclass(frozen=True)
class Ports:
    """Ports of the destination: all of a protocol, one by name or number, or a range of numbers."""

    protocol: str
    port: int | str | None
    end: int | None

    def __post_init__(self) -> None:
        if self.end is not None and not (isinstance(self.port, int) and self.port <= self.end):
            raise ValueError(f"endPort {self.end} needs a port that is a number, and not above it")

    def matches(self, port: Port) -> bool:
        """Whether the port is one of them; a name is what the destination's own containers give it."""
        if port.protocol != self.protocol:
            return False
        match self.port:
            case None:
                return True
            case str():
                return self.port in port.names
            case int():
                return self.port <= port.number <= (self.end or self.port)


@dataclass(frozen=True)
class Rule:
    """Connections that are let through: any of the peers, on any of the ports; none given means all."""

    peers: tuple[PodPeer | BlockPeer, ...]
    ports: tuple[Ports, ...]

    def matches(self, other: Party, port: Port) -> bool:
        """Whether it lets through a connection with the other end, to the port of its destination."""
        return (not self.peers or any(peer.matches(other) for peer in self.peers)) and (
            not self.ports or any(ports.matches(port) for ports in self.ports)
        )


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One NetworkPolicy.

    Attributes:
        namespace: where it lives; it applies to pods there alone.
        pods: which of them.
        rules: a direction that it isolates its pods in -> what it lets through.
    """

    namespace: str
    pods: Selector
    rules: Mapping[Direction, tuple[Rule, ...]]

    @classmethod
    def read(cls, thing: Object) -> "Policy":
        """The policy that an object describes.

        Raises:
            ValueError: the API server would refuse the object.
        """
        namespace, spec = namespace_of(thing), thing.get("spec") or {}
        try:
            return cls(
                namespace=namespace,
                pods=Selector.read(spec.get("podSelector") or {}),
                rules={direction: _rules(spec, direction, namespace) for direction in _directions(spec)},
            )
        except ValueError as error:
            raise ValueError(f"NetworkPolicy {namespace}/{thing['metadata']['name']}: {error}") from error

    def isolates(self, pod: Pod, direction: Direction) -> bool:
        """Whether it applies to the pod in that direction."""
        return direction in self.rules and pod.namespace == self.namespace and self.pods.matches(pod.labels)


def permits(policies: Iterable[Policy], direction: Direction, pod: Pod, other: Party, port: Port) -> bool:
    """Whether policies let a connection through on the pod's side.

    A pod that none applies to is open. Else one rule of one policy is enough: policies only ever add.
    Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/

    Args:
        policies: all of the cluster's policies.
        direction: `Ingress` if the pod is called, `Egress` if it calls.
        pod: the pod.
        other: the connection's other end.
        port: the port of the connection's destination, whichever end that is.
    """
    applying = [policy for policy in policies if policy.isolates(pod, direction)]
    return not applying or any(
        rule.matches(other, port) for policy in applying for rule in policy.rules[direction]
    )


def _directions(spec: Object) -> tuple[Direction, ...]:
    given = tuple(spec.get("policyTypes") or ())
    if unknown := set(given) - set(_RULES_AT):
        raise ValueError(f"policyTypes has {', '.join(sorted(unknown))}; there are Ingress and Egress")
    if given:
        return given
    # Without policyTypes an empty list of egress rules denies nothing: only a rule makes it count.
    return ("Ingress", "Egress") if spec.get("egress") else ("Ingress",)


def _rules(spec: Object, direction: Direction, namespace: str) -> tuple[Rule, ...]:
    rules, peers = _RULES_AT[direction]
    return tuple(
        Rule(
            peers=tuple(_peer(peer, namespace) for peer in rule.get(peers) or ()),
            ports=tuple(_ports(ports) for ports in rule.get("ports") or ()),
        )
        for rule in spec.get(rules) or ()
    )


def _peer(node: Object, namespace: str) -> PodPeer | BlockPeer:
    # A selector that is there but empty selects everything; one that is not there says nothing.
    block, pods, namespaces = (node.get(key) for key in ("ipBlock", "podSelector", "namespaceSelector"))
    if block is not None:
        if pods is not None or namespaces is not None:
            raise ValueError("a peer with an ipBlock has no selectors")
        return BlockPeer(_network(block["cidr"]), tuple(_network(hole) for hole in block.get("except") or ()))
    if pods is None and namespaces is None:
        raise ValueError("a peer needs a selector or an ipBlock")
    own = Selector((Requirement(NAME_LABEL, "In", (namespace,)),))
    return PodPeer(
        namespaces=own if namespaces is None else Selector.read(namespaces),
        pods=Selector.read(pods or {}),
    )


def _network(text: str) -> Network:
    if "/" not in text:
        raise ValueError(f"{text!r} is an address, not a range such as {text}/32")
    return ip_network(text, strict=False)


def _ports(node: Object) -> Ports:
    port, end = node.get("port"), node.get("endPort")
    return Ports(
        protocol=node.get("protocol") or "TCP",
        # Numbers arrive as floats from a program's recorded inputs.
        port=port if port is None or isinstance(port, str) else int(port),
        end=None if end is None else int(end),
    )
