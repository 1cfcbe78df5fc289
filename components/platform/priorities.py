"""Who is moved, and who waits, when the cluster is full."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import pulumi
from pulumi_kubernetes.scheduling.v1 import PriorityClass

from components.base import Component, Identity

Priority = Literal["critical", "standard", "background"]

CLASSES: Final[Mapping[Priority, tuple[int, str]]] = {
    "critical": (1_000_000, "Without it nothing works: entrance, database, pool, cache."),
    "standard": (100_000, "Serves users."),
    "background": (10_000, "May wait: queue workers, reports. Never pushes another pod out."),
}
"""Priority -> its weight, and who has it. All below 1,000,000,000, where Kubernetes' own begin."""


@dataclass(frozen=True, kw_only=True)
class PrioritiesArgs:
    """The cluster's priority classes.

    Attributes:
        identity: whose they are.
    """

    identity: Identity


class Priorities(Component):
    """One PriorityClass per priority, `<product>-<priority>`.

    A class's weight can't be changed, only replaced, which pods that refer to it outlive.
    """

    TYPE = "fixia:platform:Priorities"

    classes: dict[Priority, pulumi.Output[str]]
    """Priority -> the name of its class."""

    def __init__(self, name: str, args: PrioritiesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        self.classes = {
            priority: PriorityClass(
                f"{name}-{priority}",
                metadata=self.metadata(name=f"{args.identity.product}-{priority}"),
                value=weight,
                description=description,
                preemption_policy="Never" if priority == "background" else "PreemptLowerPriority",
                opts=self.child(replace_on_changes=["value", "preemptionPolicy"], delete_before_replace=True),
            ).metadata.name
            for priority, (weight, description) in CLASSES.items()
        }
        self.finish()
