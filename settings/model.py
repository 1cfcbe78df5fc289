"""The settings of one stack, as one tree.

A field here is a key in `Pulumi.<stack>.yaml`, in camelCase: `workloads.api.autoscaling.cpu_percent` is
`fixia:workloads` / `api` / `autoscaling` / `cpuPercent`. Nothing else in the program reads configuration.
"""

import re
from decimal import Decimal
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from settings.types import Bytes, Cpu, EnvName, HttpPath, Image, LabelValue, Name, Percent, Port, quantity

INTERNET: Final = "internet"
"""In `talksTo`: HTTPS to public addresses, and to no private one."""

_CREDENTIAL: Final = re.compile(
    r"(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|CREDENTIALS?|DSN)(?!.*_FILE$)"
)


class Section(BaseModel):
    """A mapping in the stack's file: unknown keys and loosely typed values are refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )


class Stack(Section):
    """What is deployed here, and who answers and pays for it: every object's labels and tags."""

    product: Name = Field(description="The product's name; the prefix of every namespace.")
    environment: Literal["local", "development", "staging", "preproduction", "production"] = Field(
        description="How far the stack is from the public; some policies are stricter in production."
    )
    owner: LabelValue = Field(description="The team that is paged.")
    cost_centre: LabelValue = Field(description="The account that pays.")


class Cluster(Section):
    """Which Kubernetes cluster the stack lives in."""

    context: Annotated[str, Field(min_length=1)] = Field(
        description="The kubeconfig's context. Named, so that no stack lands in whatever context is current."
    )


class Resources(Section):
    """What one pod asks for and may use. No CPU limit: it would throttle and protect nobody."""

    cpu: Cpu = Field(description="CPU requested.")
    memory: Bytes = Field(description="Memory requested.")
    memory_limit: Bytes = Field(description="Memory at which the pod is ended.")

    @field_validator("memory_limit")
    @classmethod
    def _covers_the_request(cls, limit: str, info: ValidationInfo) -> str:
        request = info.data.get("memory")
        if request is not None and quantity(limit) < quantity(request):
            raise ValueError(f"at least the memory requested, {request}")
        return limit


class Quota(Section):
    """The most that a namespace's pods may ask for together."""

    cpu: Cpu = Field(description="CPU that all its pods may request together.")
    memory: Bytes = Field(description="Memory that all its pods may request together.")
    pods: Annotated[int, Field(ge=1, le=1000)] = Field(description="How many pods there may be.")


class Namespace(Section):
    """One Kubernetes namespace: a tier of the platform with a budget of its own."""

    quota: Quota


class Platform(Section):
    """The ground that everything stands on."""

    namespaces: dict[Name, Namespace] = Field(
        min_length=1, description="By tier; `app` becomes `<product>-app`."
    )


class Autoscaling(Section):
    """How many pods run: within a range, by how busy they are."""

    min: Annotated[int, Field(ge=1, le=1000)] = Field(description="The fewest pods.")
    max: Annotated[int, Field(ge=1, le=1000)] = Field(description="The most pods.")
    cpu_percent: Percent = Field(description="Of the CPU requested; above it, pods are added.")
    memory_percent: Percent = Field(description="Of the memory requested; above it, pods are added.")

    @field_validator("max")
    @classmethod
    def _is_a_range(cls, upper: int, info: ValidationInfo) -> int:
        lower = info.data.get("min")
        if lower is not None and upper < lower:
            raise ValueError(f"at least min, {lower}")
        return upper


class Probes(Section):
    """Where the kubelet asks how the pod is. Liveness must not depend on anything outside the pod."""

    startup: HttpPath = Field(description="Answers once the process is up.")
    readiness: HttpPath = Field(description="Answers while the pod should get requests.")
    liveness: HttpPath = Field(description="Answers while a restart would not help.")

    @field_validator("liveness")
    @classmethod
    def _differs_from_readiness(cls, path: str, info: ValidationInfo) -> str:
        if path == info.data.get("readiness"):
            raise ValueError(
                "another path than readiness: a database outage would restart every pod instead of pausing it"
            )
        return path


class Workload(Section):
    """A stateless service: how it is run, scaled, probed, configured, and whom it may call."""

    namespace: Name = Field(default="app", description="One of `platform.namespaces`.")
    image: Image = Field(description="The container image.")
    port: Port = Field(description="Where the container listens for HTTP.")
    resources: Resources
    autoscaling: Autoscaling
    probes: Probes
    drain_seconds: Annotated[int, Field(ge=5, le=600)] = Field(
        default=30, description="How long a pod that is asked to stop may take to finish its requests."
    )
    talks_to: list[str] = Field(
        default_factory=list,
        description=f"Other workloads by name, or `{INTERNET}`. Everything else is refused.",
    )
    config: dict[EnvName, str] = Field(
        default_factory=dict, description="Environment variables, none of them secret."
    )
    secrets: list[Name] = Field(
        default_factory=list, description="Mounted as files; `<NAME>_FILE` says where."
    )

    @field_validator("config")
    @classmethod
    def _holds_no_credential(cls, config: dict[str, str]) -> dict[str, str]:
        suspects = sorted(name for name in config if _CREDENTIAL.search(name))
        if suspects:
            raise ValueError(
                f"no credentials: put {', '.join(suspects)} under secrets, and its name in `secrets`"
            )
        return config


class Secret(Section):
    """One credential: made here, or given by somebody else and set encrypted."""

    generate: Annotated[int, Field(ge=24, le=128)] | None = Field(
        default=None, description="Let the stack make one of this many letters and digits."
    )
    value: SecretStr | None = Field(
        default=None,
        description="Given: set it by `pulumi config set --secret --path 'fixia:secrets.<name>.value'`.",
    )

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> Self:
        if (self.generate is None) == (self.value is None):
            raise ValueError("either `generate` with a length, or `value`, encrypted")
        return self


def _without_cycle(workloads: dict[str, Workload]) -> dict[str, Workload]:
    graph = {
        name: [other for other in w.talks_to if other in workloads and other != name]
        for name, w in workloads.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise ValueError(
            f"no circle of talksTo (found {circle}): let one side publish to a queue instead"
        ) from None
    return workloads


class Settings(Section):
    """Everything that may differ between two stacks of the platform."""

    stack: Stack
    cluster: Cluster
    platform: Platform
    workloads: Annotated[dict[Name, Workload], AfterValidator(_without_cycle)] = Field(min_length=1)
    secrets: dict[Name, Secret] = Field(default_factory=dict)

    def quota_shortfalls(self, namespace: str) -> list[tuple[str, str, str]]:
        """The quotas that the namespace's workloads outgrow at their largest, while a release rolls out.

        Returns:
            For each the key under `quota`, its value, and what would be enough.
        """
        quota = self.platform.namespaces[namespace].quota
        inside = [w for w in self.workloads.values() if w.namespace == namespace]
        largest = [
            (w, w.autoscaling.max + 1) for w in inside
        ]  # one more pod than max: the surge of a release
        cpu = sum((quantity(w.resources.cpu) * pods for w, pods in largest), Decimal(0))
        memory = sum((quantity(w.resources.memory) * pods for w, pods in largest), Decimal(0))
        count = sum(pods for _, pods in largest)
        wanted = (
            "at least {}: what its workloads ask for at autoscaling.max plus one pod each during a release"
        )
        shortfalls = []
        if cpu > quantity(quota.cpu):
            shortfalls.append(("cpu", quota.cpu, wanted.format(f"{cpu:f}")))
        if memory > quantity(quota.memory):
            shortfalls.append(("memory", quota.memory, wanted.format(f"{-(-memory // 2**20):f}Mi")))
        if count > quota.pods:
            shortfalls.append(("pods", str(quota.pods), wanted.format(count)))
        return shortfalls

    def workloads_in_order(self) -> list[str]:
        """The workloads' names, each after all that it talks to; alphabetical where that leaves a choice."""
        graph = {
            name: sorted(other for other in self.workloads[name].talks_to if other != INTERNET)
            for name in sorted(self.workloads)
        }
        return list(TopologicalSorter(graph).static_order())
