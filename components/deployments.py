"""The Deployment that rolls without anybody noticing: every stateless component of the platform is one."""

from collections.abc import Mapping
from dataclasses import replace

from pulumi_kubernetes.apps.v1 import DeploymentSpecArgs, DeploymentStrategyArgs, RollingUpdateDeploymentArgs
from pulumi_kubernetes.core.v1 import PodTemplateSpecArgs
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from components.pods import Pod, hardened_pod


def rolling(
    pod: Pod, metadata: ObjectMetaArgs, selector: Mapping[str, str], *, replicas: int | None = None
) -> DeploymentSpecArgs:
    """Starts a new pod, waits until it is ready, then stops an old one; the pods are spread.

    Args:
        pod: the pod; its spread is set here.
        metadata: the pod's labels and annotations.
        selector: the labels that select it, which can never be changed.
        replicas: how many; None where an autoscaler owns the number, which a release must not undo.
    """
    # Count this release's pods alone: those that it replaces would pull the spread askew.
    spread = replace(pod, spread=selector, spread_within=["pod-template-hash"])
    return DeploymentSpecArgs(
        replicas=replicas,
        selector=LabelSelectorArgs(match_labels=selector),
        strategy=DeploymentStrategyArgs(
            type="RollingUpdate",
            rolling_update=RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0),
        ),
        min_ready_seconds=5,
        progress_deadline_seconds=600,
        revision_history_limit=5,
        template=PodTemplateSpecArgs(metadata=metadata, spec=hardened_pod(spread)),
    )
