"""An account of its own for each workload, and no token in its pods."""

import pulumi
from pulumi_kubernetes.core.v1 import ServiceAccount

from components.base import Component


def service_account(owner: Component, name: str, namespace: pulumi.Input[str]) -> ServiceAccount:
    """The service account of one workload.

    Pods that share the namespace's `default` account share whatever is ever granted to it. Nothing here calls
    the API server, so no token is mounted either.

    Args:
        owner: the component whose pods use it.
        name: the component's name.
        namespace: where the pods run.
    """
    return ServiceAccount(
        f"{name}-account",
        metadata=owner.metadata(namespace),
        automount_service_account_token=False,
        opts=owner.child(),
    )
