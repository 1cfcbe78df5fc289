"""The settings of one stack, as one tree.

A field here is a key in `Pulumi.<stack>.yaml`, in camelCase: `workloads.api.autoscaling.cpu_percent` is
`fixia:workloads` / `api` / `autoscaling` / `cpuPercent`. Nothing else in the program reads configuration.
"""

from graphlib import TopologicalSorter
from typing import Annotated

from pydantic import AfterValidator, Field

from settings.backup import Backup
from settings.data import Cache, Database
from settings.edge import Edge
from settings.entrance import Entrance
from settings.monitoring import Monitoring
from settings.platform import Cluster, Platform, Secret, Stack
from settings.section import Section
from settings.types import Name
from settings.workload import Release, Workload, without_cycle


class Settings(Section):
    """Everything that may differ between two stacks of the platform."""

    stack: Stack
    cluster: Cluster
    platform: Platform
    workloads: Annotated[dict[Name, Workload], AfterValidator(without_cycle)] = Field(min_length=1)
    release: Release | None = Field(default=None, description="Left out: new versions roll out untried.")
    database: Database | None = Field(default=None, description="Left out: the stack has no database.")
    backup: Backup | None = Field(default=None, description="Left out: the database is not backed up.")
    cache: Cache | None = Field(default=None, description="Left out: the stack has no cache and no queue.")
    entrance: Entrance | None = Field(default=None, description="Left out: nothing is reached from outside.")
    edge: Edge | None = Field(default=None, description="Left out: nothing of ours is at Cloudflare.")
    monitoring: Monitoring | None = Field(default=None, description="Left out: nobody watches.")
    secrets: dict[Name, Secret] = Field(default_factory=dict)

    def workloads_in_order(self) -> list[str]:
        """The workloads' names, each after all that it talks to; every time the same."""
        graph = {
            name: sorted(other for other in self.workloads[name].talks_to if other in self.workloads)
            for name in sorted(self.workloads)
        }
        return list(TopologicalSorter(graph).static_order())
