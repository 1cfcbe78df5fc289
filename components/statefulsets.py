"""The StatefulSet of one pod on one volume: what keeps data on a disk is one."""

from collections.abc import Mapping
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import (
    RollingUpdateStatefulSetStrategyArgs,
    StatefulSetSpecArgs,
    StatefulSetUpdateStrategyArgs,
)
from pulumi_kubernetes.core.v1 import PodTemplateSpecArgs
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from components.pods import Pod, hardened_pod

HISTORY: Final = 5


def single(
    pod: Pod, metadata: ObjectMetaArgs, selector: Mapping[str, str], *, service: pulumi.Input[str]
) -> StatefulSetSpecArgs:
    """Stops the pod, and then starts the new one: never two on the volume.

    A release that mends a pod replaces it, however broken that is.

    Args:
        pod: the pod.
        metadata: the pod's labels and annotations.
        selector: the labels that select it, which can never be changed.
        service: the Service by which the pod has a name of its own, if anybody calls it by that.
    """
    return StatefulSetSpecArgs(
        replicas=1,
        service_name=service,
        selector=LabelSelectorArgs(match_labels=selector),
        update_strategy=mending(),
        # `OrderedReady` would wait for a broken pod to get ready before the release that mends it.
        # Source: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
        pod_management_policy="Parallel",
        revision_history_limit=HISTORY,
        template=PodTemplateSpecArgs(metadata=metadata, spec=hardened_pod(pod)),
    )


def mending() -> StatefulSetUpdateStrategyArgs:
    """How the one pod of a StatefulSet is replaced.

    From Kubernetes 1.35 on a broken pod counts as one that is away, and by default one may be: so it would be
    waited for until it got ready by itself. There is no second pod that could be away as well. Older clusters
    leave the number out, and do not wait.
    """
    return StatefulSetUpdateStrategyArgs(
        type="RollingUpdate", rolling_update=RollingUpdateStatefulSetStrategyArgs(max_unavailable=2)
    )
