"""The node's network policies, in force: packet filters made of the cluster's objects.

No network plugin that enforces NetworkPolicy comes from the package registries. What a policy means is read
by the code that computes who may reach whom (`simulator/reachability`), and becomes rules of iptables: in the
node's own network, in a table that kube-proxy leaves alone. They drop, so that who is kept out waits.

A pod is open for the blink between its first packet and the next look at it, as with most plugins.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Final

from simulator.node.client import Client, Manifest, Refused
from simulator.reachability.parties import Pod, Port, read_pods
from simulator.reachability.policy import BlockPeer, Direction, Policy, Ports, Rule

CHAIN: Final = "FIXIA-WALLS"

_GONE: Final = ("Succeeded", "Failed")
_LISTS: Final = {
    "Namespace": "/api/v1/namespaces",
    "Pod": "/api/v1/pods",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/networkpolicies",
}
_EVERYWHERE: Final = IPv4Network("0.0.0.0/0")


@dataclass
class Walls:
    """Keeps the rules what the objects say.

    Attributes:
        client: an administrator of the cluster.
        restore: gives a text to `iptables-restore --noflush`.
        present: the pods' chains that there are.
    """

    client: Client
    restore: Callable[[str], None]
    present: set[str] = field(default_factory=set)
    _written: str = ""

    def serve(self) -> None:
        """Bring the rules up to date.

        Raises:
            Refused: the API server does not let us, or an object can't be read.
            OSError: it can't be reached, or the rules can't be written.
        """
        objects = {kind: self._list(kind, path) for kind, path in _LISTS.items()}
        running = [
            pod
            for pod in objects["Pod"]
            if pod.get("status", {}).get("podIPs") and pod["status"].get("phase") not in _GONE
        ]
        pods = [pod for pod in read_pods([*objects["Namespace"], *running]) if not pod.host_network]
        text, chains = rules([Policy.read(each) for each in objects["NetworkPolicy"]], pods, self.present)
        if text != self._written:
            self.restore(text)
            self._written, self.present = text, chains

    def _list(self, kind: str, path: str) -> list[Manifest]:
        answer = self.client.request("GET", path, query={"resourceVersion": "0"})
        if not answer.accepted:
            raise Refused(f"list {path}", answer)
        return [{"kind": kind, **item} for item in answer.body.get("items") or []]


def rules(
    policies: Sequence[Policy], pods: Sequence[Pod], present: Iterable[str] = ()
) -> tuple[str, set[str]]:
    """Return what `iptables-restore --noflush` is to be given, and the chains of pods that there are then.

    Args:
        policies: all of the cluster's.
        pods: all that run, but those in the node's own network.
        present: the chains of pods that there are now.
    """
    entries = [f"-A {CHAIN} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"]
    chains: dict[str, list[str]] = {}
    ways: tuple[tuple[Direction, str], ...] = (("Egress", "-s"), ("Ingress", "-d"))
    for direction, end in ways:
        for pod in pods:
            applying = [policy for policy in policies if policy.isolates(pod, direction)]
            if not applying:
                continue
            name = _chain(pod, direction)
            allowed = dict.fromkeys(
                match
                for policy in applying
                for rule in policy.rules[direction]
                for match in _matches(rule, direction, pod, pods)
            )
            chains[name] = [*(f"-A {name} {match}-j RETURN" for match in allowed), f"-A {name} -j DROP"]
            entries += [f"-A {CHAIN} {end} {address} -j {name}" for address in pod.addresses]
    gone = sorted(set(present) - chains.keys())
    lines = ["*mangle", *(f":{name} - [0:0]" for name in (CHAIN, *chains, *gone)), *entries]
    lines += [line for chain in chains.values() for line in chain]
    return "\n".join([*lines, *(f"-X {name}" for name in gone), "COMMIT", ""]), set(chains)


def _chain(pod: Pod, direction: Direction) -> str:
    named = f"{pod.name} {','.join(map(str, pod.addresses))}"
    return f"WALL-{direction[0]}-{hashlib.sha256(named.encode()).hexdigest()[:12]}"


def _matches(rule: Rule, direction: Direction, pod: Pod, pods: Sequence[Pod]) -> Iterator[str]:
    """What lets a rule's connections through, each as options of iptables with a space at the end."""
    other = "-d" if direction == "Egress" else "-s"
    for network, party in _ends(rule, pods):
        # A port's name is what the destination's own containers give it.
        named = pod if direction == "Ingress" else party
        place = f"{other} {network} " if network != _EVERYWHERE else ""
        if not rule.ports:
            yield place
        for ports in rule.ports:
            yield from (f"{place}{option} " for option in _options(ports, named.ports if named else ()))


def _ends(rule: Rule, pods: Sequence[Pod]) -> Iterator[tuple[IPv4Network, Pod | None]]:
    """The other ends that a rule means: networks, with the pod where it is one."""
    if not rule.peers:
        yield _EVERYWHERE, None
    for peer in rule.peers:
        if isinstance(peer, BlockPeer):
            if isinstance(peer.network, IPv4Network):
                holes = [hole for hole in peer.excepted if isinstance(hole, IPv4Network)]
                yield from ((network, None) for network in _without(peer.network, holes))
        else:
            for pod in filter(peer.matches, pods):
                yield from ((IPv4Network(str(each)), pod) for each in pod.addresses if each.version == 4)


def _without(network: IPv4Network, holes: Iterable[IPv4Network]) -> list[IPv4Network]:
    left = [network]
    for hole in holes:
        cut: list[IPv4Network] = []
        for part in left:
            if hole.subnet_of(part):
                cut += part.address_exclude(hole)
            elif not part.subnet_of(hole):
                cut.append(part)
        left = cut
    return sorted(left)


def _options(ports: Ports, named: Sequence[Port]) -> Iterator[str]:
    protocol = ports.protocol.lower()
    if ports.port is None:
        yield f"-p {protocol}"
    elif isinstance(ports.port, int):
        numbers = f"{ports.port}:{ports.end}" if ports.end else str(ports.port)
        yield f"-p {protocol} --dport {numbers}"
    else:
        for port in named:
            if port.protocol == ports.protocol and ports.port in port.names:
                yield f"-p {protocol} --dport {port.number}"
