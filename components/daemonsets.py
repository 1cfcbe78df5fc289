"""The DaemonSet that is on every node: what looks after nodes is one."""

from collections.abc import Mapping

from pulumi_kubernetes.apps.v1 import (
    DaemonSetSpecArgs,
    DaemonSetUpdateStrategyArgs,
    RollingUpdateDaemonSetArgs,
)
from pulumi_kubernetes.core.v1 import PodSpecArgs, PodTemplateSpecArgs, TolerationArgs
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs


def everywhere(pod: PodSpecArgs, metadata: ObjectMetaArgs, selector: Mapping[str, str]) -> DaemonSetSpecArgs:
    """Runs a pod on each node, and rolls through a quarter of them at a time.

    Args:
        pod: the hardened pod; what it tolerates is set here.
        metadata: the pod's labels and annotations.
        selector: the labels that select it, which can never be changed.
    """
    # On the nodes of the control plane too, and on those that are being emptied: those above all.
    pod.tolerations = [TolerationArgs(operator="Exists")]
    return DaemonSetSpecArgs(
        selector=LabelSelectorArgs(match_labels=selector),
        update_strategy=DaemonSetUpdateStrategyArgs(
            type="RollingUpdate", rolling_update=RollingUpdateDaemonSetArgs(max_unavailable="25%")
        ),
        revision_history_limit=5,
        template=PodTemplateSpecArgs(metadata=metadata, spec=pod),
    )
