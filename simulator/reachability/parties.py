"""The two ends of a connection: the pods that a cluster's objects make, and addresses outside it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, TypeAlias

Object: TypeAlias = Mapping[str, Any]
Address: TypeAlias = IPv4Address | IPv6Address

NAME_LABEL: Final = "kubernetes.io/metadata.name"
"""The label that the API server keeps on every namespace, with its name, whatever its object says.

Source: https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-metadata-name
"""

ASSUMED_POD_ADDRESSES: Final = ("10.244.0.2", "fd00:10:244::2")
"""Where a pod is thought to be until its status tells: private addresses, as nearly every network gives.

Whether an `ipBlock` matches pods differs between network plugins; with these it does, so that a wide block
is never taken for a narrow one.
"""

_TEMPLATE_AT: Final[Mapping[str, tuple[str, ...]]] = {
    "Pod": (),
    "ReplicaSet": ("spec", "template"),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""A kind that makes pods -> where its object describes them."""


@dataclass(frozen=True, order=True)
class Port:
    """A port that can be called.

    Attributes:
        protocol: `TCP`, `UDP` or `SCTP`.
        number: the port itself, on the pod; policies apply behind the Service.
        names: what its containers call it, which a policy may use in the number's place.
    """

    protocol: str
    number: int
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Pod:
    """The pods of one object, which no policy can tell apart.

    Attributes:
        name: `<namespace>/<kind>/<name>`.
        labels: the template's labels. Those that a controller adds, such as `pod-template-hash`, are unknown.
        namespace: where they run.
        namespace_labels: the labels of that namespace, its name among them.
        ports: what their containers declare. A container may listen elsewhere too, and nothing tells.
        addresses: where they are.
        host_network: whether they share their node's network, where policies are undefined.
        single: whether there is only ever one of them, so that it has no sibling to call.
    """

    name: str
    labels: Mapping[str, str]
    namespace: str
    namespace_labels: Mapping[str, str]
    ports: tuple[Port, ...]
    addresses: tuple[Address, ...]
    host_network: bool
    single: bool


@dataclass(frozen=True, kw_only=True)
class External:
    """A port of an address outside the cluster; the address can call, too.

    Attributes:
        name: what it is, such as `internet`; several ports of one address share it.
        address: the address, of either version.
        port: the port.
        protocol: `TCP`, `UDP` or `SCTP`.
    """

    name: str
    address: str
    port: int
    protocol: str = "TCP"

    @property
    def ports(self) -> tuple[Port, ...]:
        """The one port; a named port is never one outside."""
        return (Port(self.protocol, self.port),)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The one address."""
        return (ip_address(self.address),)


Party: TypeAlias = Pod | External


def read_pods(objects: Sequence[Object]) -> list[Pod]:
    """The pods that the objects make, sorted by name; objects that make none are passed over.

    Args:
        objects: Kubernetes objects. A namespace that is not among them has its automatic label alone.
    """
    namespaces = {
        thing["metadata"]["name"]: thing["metadata"].get("labels") or {}
        for thing in objects
        if thing["kind"] == "Namespace"
    }
    pods = [_read(thing, namespaces) for thing in objects if thing["kind"] in _TEMPLATE_AT]
    return sorted(pods, key=lambda pod: pod.name)


def namespace_of(thing: Object) -> str:
    """Where an object lives; one that doesn't say lives in `default`."""
    return str(thing["metadata"].get("namespace") or "default")


def _read(thing: Object, namespaces: Mapping[str, Mapping[str, str]]) -> Pod:
    template = thing
    for key in _TEMPLATE_AT[thing["kind"]]:
        template = template[key]
    namespace = namespace_of(thing)
    told = [entry["ip"] for entry in thing.get("status", {}).get("podIPs", ())]
    return Pod(
        name=f"{namespace}/{thing['kind'].lower()}/{thing['metadata']['name']}",
        labels=template.get("metadata", {}).get("labels") or {},
        namespace=namespace,
        namespace_labels={**namespaces.get(namespace, {}), NAME_LABEL: namespace},
        ports=tuple(_ports(_listening(template["spec"]))),
        addresses=tuple(ip_address(address) for address in told or ASSUMED_POD_ADDRESSES),
        host_network=bool(template["spec"].get("hostNetwork")),
        single=thing["kind"] == "Pod",
    )


def _listening(spec: Object) -> Iterator[Object]:
    """The containers that run while the pod serves: all but the init containers that end before."""
    yield from spec.get("containers") or ()
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            yield container


def _ports(containers: Iterable[Object]) -> list[Port]:
    names: dict[tuple[str, int], set[str]] = defaultdict(set)
    for container in containers:
        for declared in container.get("ports") or ():
            known_as = names[declared.get("protocol") or "TCP", int(declared["containerPort"])]
            if declared.get("name"):
                known_as.add(declared["name"])
    return sorted(Port(protocol, number, frozenset(known)) for (protocol, number), known in names.items())
