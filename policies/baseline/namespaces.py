"""Namespaces: the walls that the pod security admission and the network policies hang on."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pulumi_policy import Severity

from baseline.frameworks import cis_kubernetes
from baseline.manifests import Manifest, has_pods, is_kind, is_namespaced, manifests
from baseline.model import UNKNOWN, Policy, Resource, StackPolicy, Unknown, Value, Violation
from baseline.subjects import ObjectPolicy, kinds
from baseline.tree import Node, must, must_be

ENFORCE_LABEL: Final = "pod-security.kubernetes.io/enforce"
_DEFAULT: Final = "default"


def is_namespace(type_token: str) -> bool:
    """Tell whether a resource is a namespace."""
    return is_kind(type_token, ("core", "Namespace"))


def is_network_policy(type_token: str) -> bool:
    """Tell whether a resource is a network policy."""
    return is_kind(type_token, ("networking.k8s.io", "NetworkPolicy"))


def check_pod_security(namespace: Manifest) -> Iterator[Violation]:
    """Require the label that makes the API server refuse pods below the restricted level."""
    label = namespace.root.at("metadata", "labels", ENFORCE_LABEL)
    # A patch that leaves the label out leaves it as it is.
    valid = (None, "restricted") if namespace.kind.patch else ("restricted",)
    yield from must_be(label, *valid)


def check_default_namespace(manifest: Manifest) -> Iterator[Violation]:
    """Require a namespace by name: without one an object lands in the default namespace."""
    yield from must(
        manifest.namespace,
        lambda name: isinstance(name, str) and name not in ("", _DEFAULT),
        f'the name of a namespace other than "{_DEFAULT}"',
    )


@dataclass(frozen=True, slots=True)
class _Home:
    """A namespace that the stack uses: the property that names it, and the resource with that property."""

    name: Value
    node: Node
    resource: Resource

    def violation(self, found: Value) -> Violation:
        valid = (
            "a namespace that has a NetworkPolicy with an empty podSelector, "
            "policyTypes Ingress and Egress, and no rules"
        )
        return Violation(self.node.path, found, valid, resource=self.resource)


def check_default_deny(resources: Sequence[Resource]) -> Iterator[Violation]:
    """Require a default-deny network policy in each namespace that the stack creates or puts a pod into.

    Namespaces are told apart by name: a stack over two clusters with equal names would need the provider
    as well.

    Args:
        resources: The namespaces, pods and network policies of the stack.

    Yields:
        One violation per namespace, at the resource that creates it or else at its first pod.
    """
    homes: dict[str, _Home] = {}
    nameless: list[_Home] = []
    denials: dict[str | Unknown, list[bool | Unknown]] = defaultdict(list)
    for resource in sorted(resources, key=lambda one: not is_namespace(one.type)):
        for manifest in manifests(resource):
            if manifest.kind.is_any(("networking.k8s.io", "NetworkPolicy")):
                namespace = _name(manifest.namespace)
                denials[namespace].append(UNKNOWN if manifest.kind.patch else _denies_all(manifest.root))
            elif (home := _home(resource, manifest)) is None:
                continue
            elif isinstance(home.name, str):
                homes.setdefault(home.name, home)
            else:
                nameless.append(home)
    for name, home in homes.items():
        here, somewhere = denials[name], denials[UNKNOWN]
        if True in here:
            continue
        possible = UNKNOWN in here or any(denial is not False for denial in somewhere)
        yield home.violation(UNKNOWN if possible else name)
    yield from (home.violation(UNKNOWN) for home in nameless)


def _home(resource: Resource, manifest: Manifest) -> _Home | None:
    if any(manifest.pods()):
        return _Home(_name(manifest.namespace), manifest.namespace, resource)
    if manifest.kind.patch or not manifest.kind.is_any(("core", "Namespace")):
        return None  # it belongs to somebody else
    # Without a name of its own the namespace gets a generated one, as good as unknown.
    name = manifest.root.at("metadata", "name")
    return _Home(name.value, name, resource)


def _name(namespace: Node) -> str | Unknown:
    match namespace.value:
        case None:
            return _DEFAULT
        case str() | Unknown():
            return namespace.value
    return UNKNOWN


def _denies_all(policy: Node) -> bool | Unknown:
    """Decide whether a network policy forbids everything; unknown only if nothing known decides it."""
    spec = policy.at("spec")
    selector = spec.at("podSelector")
    types = spec.at("policyTypes")
    directions = [item.value for item in types.items()]
    empty = (
        selector.at("matchLabels"),
        selector.at("matchExpressions"),
        spec.at("ingress"),
        spec.at("egress"),
    )
    facts: list[bool | Unknown] = [UNKNOWN if node.value is UNKNOWN else not node.value for node in empty]
    for direction in ("Ingress", "Egress"):
        missing: bool | Unknown = UNKNOWN if UNKNOWN in directions else False
        facts.append(True if direction in directions else missing)
    if False in facts:
        return False
    return UNKNOWN if UNKNOWN in facts else True


POLICIES: Final[tuple[Policy, ...]] = (
    ObjectPolicy(
        name="namespace-pss-restricted",
        description="Namespaces must enforce the restricted Pod Security Standard.",
        remedy=f"Label the namespace {ENFORCE_LABEL}: restricted.",
        severity=Severity.HIGH,
        framework=cis_kubernetes("5.2.1"),
        anchors=("CIS-5.2.1",),
        selects=kinds(("core", "Namespace")),
        check=check_pod_security,
    ),
    ObjectPolicy(
        name="no-default-namespace",
        description="Objects must live in a namespace made for them.",
        remedy="Set metadata.namespace to a namespace of the stack.",
        severity=Severity.MEDIUM,
        framework=cis_kubernetes("5.6.4"),
        anchors=("CKV_K8S_21", "CIS-5.6.4"),
        selects=is_namespaced,
        check=check_default_namespace,
    ),
    StackPolicy(
        name="default-deny-per-namespace",
        description="Each namespace must deny all traffic that no network policy allows.",
        remedy="Add a NetworkPolicy with podSelector {}, policyTypes [Ingress, Egress] and no rules to it.",
        severity=Severity.HIGH,
        framework=cis_kubernetes("5.3.2"),
        anchors=("CIS-5.3.2", "C-0030", "kyverno:add-network-policy", "SOC2-CC6.6"),
        selects=lambda token: is_namespace(token) or has_pods(token) or is_network_policy(token),
        check=check_default_deny,
    ),
)
