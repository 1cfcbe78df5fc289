"""What the controller may ask of the API server, and with which token."""

from collections.abc import Mapping
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import (
    ConfigMapProjectionArgs,
    KeyToPathArgs,
    ProjectedVolumeSourceArgs,
    ServiceAccountTokenProjectionArgs,
    VolumeArgs,
    VolumeMountArgs,
    VolumeProjectionArgs,
)
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

TOKEN_FOLDER: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 a path
"""Where every client library looks."""

TOKEN_SECONDS: Final = 3600

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


def token_volume() -> VolumeArgs:
    """A token that expires and is renewed, with the certificate of the server that it is for.

    Asked for, where the pod would otherwise have none: unlike the one that is mounted automatically, it does
    not come to containers that did not ask.
    """
    token = ServiceAccountTokenProjectionArgs(path="token", expiration_seconds=TOKEN_SECONDS)
    authority = ConfigMapProjectionArgs(
        name="kube-root-ca.crt", items=[KeyToPathArgs(key="ca.crt", path="ca.crt")]
    )
    return VolumeArgs(
        name="token",
        projected=ProjectedVolumeSourceArgs(
            default_mode=0o440,
            sources=[
                VolumeProjectionArgs(service_account_token=token),
                VolumeProjectionArgs(config_map=authority),
            ],
        ),
    )


def token_mount() -> VolumeMountArgs:
    """Where the token is mounted."""
    return VolumeMountArgs(name="token", mount_path=TOKEN_FOLDER, read_only=True)


def _rules(granted: Mapping[str, tuple[str, ...]]) -> list[PolicyRuleArgs]:
    return [
        PolicyRuleArgs(api_groups=[group], resources=list(resources), verbs=list(_WATCH))
        for group, resources in granted.items()
    ]


def _reference(kind: str, name: pulumi.Input[str]) -> RoleRefArgs:
    return RoleRefArgs(api_group="rbac.authorization.k8s.io", kind=kind, name=name)
