"""Who may talk to whom, and what is reachable from outside."""

from collections.abc import Iterator, Sequence
from typing import Final

from pulumi_policy import Severity

from baseline.frameworks import kubernetes, soc2
from baseline.manifests import Manifest, has_pods, is_kind
from baseline.model import UNKNOWN, Policy, Violation
from baseline.selectors import Pods, is_empty
from baseline.subjects import Item, ObjectPolicy, ObjectsPolicy, each, kinds
from baseline.tree import Node, Truth, every, must, must_be, same, some

_NETWORK_POLICY: Final = ("networking.k8s.io", "NetworkPolicy")
_EVERYWHERE: Final = ("0.0.0.0/0", "::/0")


def _is_open(rule: Node, peers: str) -> Truth:
    """Tell whether a rule lets everything through: any peer, on any port."""
    ports = rule.at("ports")
    if rule.value is UNKNOWN:
        return UNKNOWN
    nobody = rule.at(peers)
    anybody = some(
        some(same(peer.at("ipBlock", "cidr").value, cidr) for cidr in _EVERYWHERE)
        for peer in nobody.items()
        if not peer.at("ipBlock", "except").value
    )
    unnamed: Truth = UNKNOWN if nobody.value is UNKNOWN else not nobody.value
    return every([UNKNOWN if ports.value is UNKNOWN else not ports.value, some([unnamed, anybody])])


def check_pods_covered(items: Sequence[Item]) -> Iterator[Violation]:
    """Require a network policy for each pod, and none that allows everything."""
    pods = Pods(items)
    covered: dict[int, Truth] = {}
    policies = [one for one in items if one.manifest.kind.is_any(_NETWORK_POLICY)]

    def check_policy(item: Item) -> Iterator[Violation]:
        spec = item.root.at("spec")
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in spec.at(direction).items():
                opened = _is_open(rule, peers)
                if opened is not False:
                    found = UNKNOWN if opened is UNKNOWN else rule.value
                    yield Violation(rule.path, found, "a rule with peers or ports")
        selector = spec.at("podSelector")
        for one, fact in pods.found(selector, item):
            sure = fact if is_empty(selector) is not UNKNOWN and not item.manifest.kind.patch else UNKNOWN
            covered[id(one.item)] = some([sure, covered.get(id(one.item), False)])

    def check_pod(item: Item) -> Iterator[Violation]:
        for pod in item.manifest.pods():
            fact = covered.get(id(item), False)
            if fact is not True and not item.manifest.kind.patch:
                found = UNKNOWN if fact is UNKNOWN else pod.labels.value
                yield Violation(
                    pod.labels.path, found, "labels that a NetworkPolicy of this namespace selects"
                )

    yield from each(policies, check_policy)
    yield from each(items, check_pod)


def check_service_type(service: Manifest, *, entrances: Sequence[str]) -> Iterator[Violation]:
    """Refuse Services that are reachable from outside, but for the named entrances' load balancers."""
    kind = service.root.at("spec", "type")
    namespace, name = service.namespace.value, service.name.value
    valid = [None, "ClusterIP", "ExternalName"]
    if f"{namespace}/{name}" in entrances:
        valid.append("LoadBalancer")
    elif kind.value == "LoadBalancer" and entrances and UNKNOWN in (namespace, name):
        yield Violation(kind.path, UNKNOWN, f"ClusterIP, unless it is {' or '.join(entrances)}")
        return
    yield from must_be(kind, *valid)


def check_external_ips(service: Manifest) -> Iterator[Violation]:
    """Refuse externalIPs, by which a Service takes over others' traffic (CVE-2020-8554)."""
    yield from must(service.root.at("spec", "externalIPs"), lambda value: not value, "absent")


POLICIES: Final[tuple[Policy, ...]] = (
    ObjectsPolicy(
        name="pods-have-networkpolicy",
        description="Each pod must be selected by a network policy, and no policy may allow everything.",
        remedy="Say who may talk to the pod, and on which port; leave default-deny to refuse the rest.",
        severity=Severity.HIGH,
        framework=soc2("CC6.6"),
        anchors=("CKV2_K8S_6", "C-0260", "CIS-5.3.2", "SOC2-CC6.6"),
        selects=lambda token: has_pods(token) or is_kind(token, _NETWORK_POLICY),
        check=check_pods_covered,
    ),
    ObjectPolicy(
        name="no-nodeport-loadbalancer",
        description="Services must stay inside the cluster. The option `entrances` names the exceptions, as "
        "namespace/name, which may be load balancers.",
        remedy="Use type ClusterIP, and an Ingress for what the world may reach.",
        severity=Severity.HIGH,
        framework=soc2("CC6.6"),
        anchors=("kube-linter:exposed-services", "SOC2-CC6.6"),
        options={"entrances": ()},
        selects=kinds(("core", "Service")),
        check=check_service_type,
    ),
    ObjectPolicy(
        name="no-external-ips",
        description="Services must not claim addresses by externalIPs.",
        remedy="Remove externalIPs; reach the Service through the entrance.",
        severity=Severity.HIGH,
        framework=kubernetes("CVE-2020-8554", "concepts/services-networking/service/#external-ips"),
        anchors=("kyverno:restrict-external-ips", "CVE-2020-8554"),
        selects=kinds(("core", "Service")),
        check=check_external_ips,
    ),
)
