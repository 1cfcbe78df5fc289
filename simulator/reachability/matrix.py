"""Every connection that a cluster's network policies let through.

Left out, because no policy decides it: what a pod says to itself and what its own node says to it, which is
always let through, and pods on their node's network, for which the API leaves policies undefined.
Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from simulator.reachability.parties import External, Object, Party, Pod, Port, read_pods
from simulator.reachability.policy import Direction, Policy, permits

EXTERNAL: Final = (
    External(name="internet", address="1.1.1.1", port=443),
    External(name="internet", address="1.1.1.1", port=80),
    External(name="internet, IPv6", address="2001:4860:4860::8888", port=443),
    External(name="internet, IPv6", address="2001:4860:4860::8888", port=80),
    External(name="cloud metadata", address="169.254.169.254", port=80),
    External(name="cloud metadata, IPv6", address="fd00:ec2::254", port=80),
    External(name="private network", address="10.0.0.1", port=443),
    # Behind the Service `kubernetes`, on a node's address: 443 in managed clusters, 6443 elsewhere.
    External(name="API server", address="10.0.0.10", port=443),
    External(name="API server", address="10.0.0.10", port=6443),
)
"""One address for each part of the world outside that a pod may want, or an intruder in it."""

KUBE_DNS: Final[dict[str, Any]] = {
    "kind": "Deployment",
    "metadata": {"name": "kube-dns", "namespace": "kube-system"},
    "spec": {
        "template": {
            "metadata": {"labels": {"k8s-app": "kube-dns"}},
            "spec": {
                "containers": [
                    {
                        "name": "dns",
                        "ports": [
                            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
                            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
                        ],
                    }
                ]
            },
        }
    },
}
"""The pods that resolve names, which every cluster has and no program makes."""


@dataclass(frozen=True, order=True)
class Flow:
    """A connection that is let through.

    Attributes:
        source: who calls: a pod as `<namespace>/<kind>/<name>`, or the name of an address outside.
        destination: who is called, likewise.
        protocol: `TCP`, `UDP` or `SCTP`.
        port: the port of the destination.
    """

    source: str
    destination: str
    protocol: str
    port: int


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What can connect, and what decides about it.

    Attributes:
        pods: the pods that the objects make.
        implied: pods of others in the same cluster.
        external: addresses outside.
        policies: the network policies.
        undecided: the names of pods on their node's network; they are in none of the above.
    """

    pods: tuple[Pod, ...]
    implied: tuple[Pod, ...]
    external: tuple[External, ...]
    policies: tuple[Policy, ...]
    undecided: tuple[str, ...]

    @classmethod
    def read(
        cls,
        objects: Sequence[Object],
        *,
        external: Sequence[External] = EXTERNAL,
        implied: Sequence[Object] = (KUBE_DNS,),
    ) -> "Cluster":
        """The cluster that has these objects.

        Args:
            objects: Kubernetes objects; those that neither make pods nor decide about them are passed over.
            external: addresses outside to try.
            implied: objects that make pods of others, such as the cluster's own or an operator's.

        Raises:
            ValueError: the API server would refuse one of the policies.
        """
        pods = read_pods(objects)
        names = {pod.name for pod in pods}
        others = read_pods([*implied, *(thing for thing in objects if thing["kind"] == "Namespace")])
        return cls(
            pods=tuple(pod for pod in pods if not pod.host_network),
            implied=tuple(pod for pod in others if pod.name not in names and not pod.host_network),
            external=tuple(external),
            policies=tuple(Policy.read(thing) for thing in objects if thing["kind"] == "NetworkPolicy"),
            undecided=tuple(pod.name for pod in pods if pod.host_network),
        )

    def flows(self) -> set[Flow]:
        """Every connection that is let through and has one of the objects' pods on at least one end.

        Two pods of one object are each other's siblings: a flow from a name to itself is between them.
        """
        parties: list[Party] = [*self.pods, *self.implied, *self.external]
        own = {pod.name for pod in self.pods}
        return {
            Flow(source.name, destination.name, port.protocol, port.number)
            for source, destination in product(parties, parties)
            if own & {source.name, destination.name}
            and not (source is destination and isinstance(source, Pod) and source.single)
            for port in destination.ports
            if self.lets_through(source, destination, port)
        }

    def lets_through(self, source: Party, destination: Party, port: Port) -> bool:
        """Whether both ends agree to a connection; an end outside the cluster agrees to everything."""
        return not (
            (isinstance(source, Pod) and not permits(self.policies, "Egress", source, destination, port))
            or (
                isinstance(destination, Pod)
                and not permits(self.policies, "Ingress", destination, source, port)
            )
        )

    def open(self, direction: Direction) -> list[str]:
        """The names of the objects' pods that no policy isolates in that direction."""
        return [
            pod.name
            for pod in self.pods
            if not any(policy.isolates(pod, direction) for policy in self.policies)
        ]


def matrix(
    objects: Sequence[Object],
    external: Sequence[External] = EXTERNAL,
    implied: Sequence[Object] = (KUBE_DNS,),
) -> set[Flow]:
    """Every connection that the objects let through; see `Cluster.read` and `Cluster.flows`."""
    return Cluster.read(objects, external=external, implied=implied).flows()
