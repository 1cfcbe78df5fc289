"""How many pods a workload has, and how few may be taken away at once."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.autoscaling.v2 import (
    CrossVersionObjectReferenceArgs,
    HorizontalPodAutoscaler,
    HorizontalPodAutoscalerBehaviorArgs,
    HorizontalPodAutoscalerSpecArgs,
    HPAScalingPolicyArgs,
    HPAScalingRulesArgs,
    MetricSpecArgs,
    MetricTargetArgs,
    ResourceMetricSourceArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetSpecArgs

from components.base import Component


@dataclass(frozen=True, kw_only=True)
class Autoscaling:
    """A range of pods, and how busy they may get.

    Attributes:
        min: the fewest pods.
        max: the most pods.
        cpu_percent: of the CPU requested, on average over the pods.
        memory_percent: of the memory requested.
    """

    min: int
    max: int
    cpu_percent: int
    memory_percent: int


def autoscaler(
    owner: Component,
    name: str,
    namespace: pulumi.Input[str],
    *,
    deployment: pulumi.Input[str],
    autoscaling: Autoscaling,
) -> HorizontalPodAutoscaler:
    """Adds pods at once when they are busy, and takes them away slowly.

    Args:
        owner: the workload.
        name: its name.
        namespace: where its pods run.
        deployment: the Deployment's name in the cluster.
        autoscaling: the range and the targets.
    """
    targets = {"cpu": autoscaling.cpu_percent, "memory": autoscaling.memory_percent}
    return HorizontalPodAutoscaler(
        f"{name}-autoscaler",
        metadata=owner.metadata(namespace),
        spec=HorizontalPodAutoscalerSpecArgs(
            scale_target_ref=CrossVersionObjectReferenceArgs(
                api_version="apps/v1", kind="Deployment", name=deployment
            ),
            min_replicas=autoscaling.min,
            max_replicas=autoscaling.max,
            metrics=[
                MetricSpecArgs(
                    type="Resource",
                    resource=ResourceMetricSourceArgs(
                        name=resource,
                        target=MetricTargetArgs(type="Utilization", average_utilization=percent),
                    ),
                )
                for resource, percent in targets.items()
            ],
            behavior=HorizontalPodAutoscalerBehaviorArgs(
                scale_up=HPAScalingRulesArgs(
                    stabilization_window_seconds=0,
                    policies=[HPAScalingPolicyArgs(type="Percent", value=100, period_seconds=30)],
                ),
                scale_down=HPAScalingRulesArgs(
                    # Five quiet minutes, then a pod a minute: traffic that dips rarely stays away.
                    stabilization_window_seconds=300,
                    policies=[HPAScalingPolicyArgs(type="Pods", value=1, period_seconds=60)],
                ),
            ),
        ),
        opts=owner.child(),
    )


def disruption_budget(
    owner: Component, name: str, namespace: pulumi.Input[str], *, selector: Mapping[str, str]
) -> PodDisruptionBudget:
    """Lets a node be drained one pod at a time.

    `maxUnavailable: 1` rather than a minimum: it never blocks a drain for good, whatever the replica count.

    Args:
        owner: the workload.
        name: its name.
        namespace: where its pods run.
        selector: the labels that select its pods.
    """
    return PodDisruptionBudget(
        f"{name}-disruption-budget",
        metadata=owner.metadata(namespace),
        spec=PodDisruptionBudgetSpecArgs(
            max_unavailable=1,
            selector=LabelSelectorArgs(match_labels=selector),
            # A pod that is broken anyway must not keep a node from being drained.
            unhealthy_pod_eviction_policy="AlwaysAllow",
        ),
        opts=owner.child(),
    )
