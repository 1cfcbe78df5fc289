"""What Prometheus may ask of the API server and the kubelets: it lists and reads, and never a Secret."""

from collections.abc import Sequence
from typing import Final

import pulumi
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgs,
    Role,
    RoleBinding,
    RoleRefArgs,
    SubjectArgs,
)

from components.base import Component
from components.network import Endpoint

_READ: Final = ("get", "list", "watch")

CLUSTER_RULES: Final = (
    ("", "nodes", _READ),
    # What the kubelet asks for of who wants its metrics; `nodes/proxy` would run commands, too.
    # Source: https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/
    ("", "nodes/metrics", ("get",)),
)
"""API group, resource and verbs, in the whole cluster: which nodes there are, and their metrics."""

PATHS: Final = ("/metrics",)
"""Of the API server itself."""

POD_RULES: Final = (("", "pods", _READ),)
"""In each namespace with a target."""

API_SERVER_RULES: Final = (
    ("discovery.k8s.io", "endpointslices", _READ),
    ("", "services", _READ),
    ("", "pods", _READ),
)
"""In `default`, where the API servers' own addresses stand; Prometheus waits for a list of all three."""


def grant(
    owner: Component,
    name: str,
    *,
    account: pulumi.Input[str],
    namespace: pulumi.Input[str],
    targets: Sequence[Endpoint],
) -> None:
    """Lets Prometheus find its targets, and read what nodes and the API server tell.

    Args:
        owner: the component whose pod asks.
        name: its name.
        account: the name of its service account.
        namespace: where it runs.
        targets: what it scrapes; it may list pods in their namespaces, and in no other.
    """
    subjects = [SubjectArgs(kind="ServiceAccount", name=account, namespace=namespace)]
    cluster_role = ClusterRole(
        f"{name}-cluster-role",
        metadata=owner.metadata(),
        rules=[*_rules(CLUSTER_RULES), PolicyRuleArgs(non_resource_urls=list(PATHS), verbs=["get"])],
        opts=owner.child(),
    )
    ClusterRoleBinding(
        f"{name}-cluster-role-binding",
        metadata=owner.metadata(),
        role_ref=_reference("ClusterRole", cluster_role.metadata.name),
        subjects=subjects,
        opts=owner.child(),
    )
    granted: dict[str, tuple[pulumi.Input[str], Sequence[tuple[str, str, Sequence[str]]]]]
    granted = {"api-server": ("default", API_SERVER_RULES)}
    granted |= {each.name: (each.namespace, POD_RULES) for each in _one_of_each_namespace(targets)}
    for role, (inside, rules) in granted.items():
        made = Role(
            f"{name}-{role}-role", metadata=owner.metadata(inside), rules=_rules(rules), opts=owner.child()
        )
        RoleBinding(
            f"{name}-{role}-role-binding",
            metadata=owner.metadata(inside),
            role_ref=_reference("Role", made.metadata.name),
            subjects=subjects,
            opts=owner.child(),
        )


def _one_of_each_namespace(targets: Sequence[Endpoint]) -> list[Endpoint]:
    """The first by name of each namespace. Some are known only later; but each is then one object."""
    found: list[Endpoint] = []
    for each in sorted(targets, key=lambda target: target.name):
        if not any(_same(each.namespace, known.namespace) for known in found):
            found.append(each)
    return found


def _same(one: pulumi.Input[str], other: pulumi.Input[str]) -> bool:
    return one is other or (isinstance(one, str) and isinstance(other, str) and one == other)


def _rules(granted: Sequence[tuple[str, str, Sequence[str]]]) -> list[PolicyRuleArgs]:
    return [
        PolicyRuleArgs(api_groups=[group], resources=[resource], verbs=list(verbs))
        for group, resource, verbs in granted
    ]


def _reference(kind: str, name: pulumi.Input[str]) -> RoleRefArgs:
    return RoleRefArgs(api_group="rbac.authorization.k8s.io", kind=kind, name=name)
