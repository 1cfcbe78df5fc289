"""The application's container: the same in a workload's pods and where a release tries it out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from components.application.configuration import Configuration, configuration
from components.base import Component
from components.network import Addresses, Endpoint
from components.platform.authority import Authority
from components.platform.credentials import Credential
from components.pods import Container, Resources, http_probe


@dataclass(frozen=True, kw_only=True)
class Probes:
    """HTTP paths on the container's port.

    Attributes:
        startup: answers once the process is up; 60 tries, 2 seconds apart.
        readiness: answers while the pod should get requests.
        liveness: answers while a restart would not help; must not depend on another service.
    """

    startup: str
    readiness: str
    liveness: str


@dataclass(frozen=True, kw_only=True)
class Application:
    """What runs, and what it is told.

    Attributes:
        image: the container image, with a tag.
        port: where it listens for HTTP.
        metrics_port: where it serves /metrics.
        resources: what a pod may use.
        probes: how a pod is asked how it is.
        args: the container's arguments.
        talks_to: everything that it calls; DNS needs no mention.
        config: environment variables, none of them secret; they win over what the callees tell.
        secrets: credentials by name, mounted as files.
        authority: who vouches for the tiers that encrypt.
    """

    image: pulumi.Input[str]
    port: int
    metrics_port: int
    resources: Resources
    probes: Probes
    args: Sequence[str] = ()
    talks_to: Sequence[Endpoint | Addresses] = ()
    config: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Credential] = field(default_factory=dict)
    authority: Authority | None = None

    def told(self, owner: Component, name: str, namespace: pulumi.Input[str]) -> Configuration:
        """The objects that hold its configuration, made for one component.

        Args:
            owner: the component whose pods read them.
            name: the component's name.
            namespace: where its pods run.
        """
        callees = [callee for callee in self.talks_to if isinstance(callee, Endpoint)]
        config: dict[str, pulumi.Input[str]] = {}
        secrets: dict[str, Credential] = {}
        for callee in callees:
            config |= callee.config
            secrets |= callee.credentials
        return configuration(
            owner,
            name,
            namespace,
            config={**config, "PORT": str(self.port), "METRICS_PORT": str(self.metrics_port), **self.config},
            secrets={**secrets, **self.secrets},
            authority=self.authority if any(callee.encrypted for callee in callees) else None,
        )

    def container(self, name: str, told: Configuration, *, sidecar: bool = False) -> Container:
        """The container that serves.

        Args:
            name: its name.
            told: its configuration.
            sidecar: whether it runs beside something that tries it out, instead of serving.
        """
        return Container(
            name=name,
            image=self.image,
            args=self.args,
            resources=self.resources,
            ports={"http": self.port, "metrics": self.metrics_port},
            environment=told.environment,
            mounts=told.mounts,
            startup=http_probe(self.probes.startup, period_seconds=2, failure_threshold=60),
            # Half a minute: what all pods need may restart, and taking all of them out helps nobody.
            readiness=http_probe(self.probes.readiness, period_seconds=5, failure_threshold=6),
            liveness=http_probe(self.probes.liveness, period_seconds=10, failure_threshold=3),
            drains=not sidecar,
            sidecar=sidecar,
        )
