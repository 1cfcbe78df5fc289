"""What the controller may ask of the API server."""

from collections.abc import Mapping
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

_WATCH: Final = ("list", "watch")

CLUSTER_RULES: Final = {"networking.k8s.io": ("ingressclasses",), "": ("nodes",)}
"""API group -> resources, in the whole cluster. Traefik can only watch classes and nodes together."""

NAMESPACE_RULES: Final = {
    "networking.k8s.io": ("ingresses",),
    "": ("services", "secrets"),
    "discovery.k8s.io": ("endpointslices",),
}
"""API group -> resources, in each namespace that is served.

Traefik uses none of the Secrets, for its certificates are files; but it starts no work before it has a list
of them, and no option turns that off. So they can be read where routes lead to, and nowhere else: keep what
a broken-into entrance must never see in another namespace.
Source: pkg/provider/kubernetes/ingress/client.go of Traefik 3.5.3, `WatchAll`.
"""


def grant(
    owner: Component,
    name: str,
    *,
    account: pulumi.Input[str],
    namespace: pulumi.Input[str],
    served: Mapping[str, pulumi.Input[str]],
) -> None:
    """Lets the controller watch what it needs to; it writes nothing, not even an Ingress's status.

    Args:
        owner: the component whose pods ask.
        name: its name.
        account: the name of their service account.
        namespace: where they run.
        served: tier -> namespace whose Ingress objects are served.
    """
    subjects = [SubjectArgs(kind="ServiceAccount", name=account, namespace=namespace)]
    cluster_role = ClusterRole(
        f"{name}-cluster-role", metadata=owner.metadata(), rules=_rules(CLUSTER_RULES), opts=owner.child()
    )
    ClusterRoleBinding(
        f"{name}-cluster-role-binding",
        metadata=owner.metadata(),
        role_ref=_reference("ClusterRole", cluster_role.metadata.name),
        subjects=subjects,
        opts=owner.child(),
    )
    for tier, inside in served.items():
        role = Role(
            f"{name}-{tier}-role",
            metadata=owner.metadata(inside),
            rules=_rules(NAMESPACE_RULES),
            opts=owner.child(),
        )
        RoleBinding(
            f"{name}-{tier}-role-binding",
            metadata=owner.metadata(inside),
            role_ref=_reference("Role", role.metadata.name),
            subjects=subjects,
            opts=owner.child(),
        )


def _rules(granted: Mapping[str, tuple[str, ...]]) -> list[PolicyRuleArgs]:
    return [
        PolicyRuleArgs(api_groups=[group], resources=list(resources), verbs=list(_WATCH))
        for group, resources in granted.items()
    ]


def _reference(kind: str, name: pulumi.Input[str]) -> RoleRefArgs:
    return RoleRefArgs(api_group="rbac.authorization.k8s.io", kind=kind, name=name)
