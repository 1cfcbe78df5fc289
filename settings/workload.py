"""The stateless services: how each is run, scaled, probed, configured, released and reached."""

import re
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from components.quantities import quantity
from settings.section import Section
from settings.types import Bytes, Cpu, EnvName, HttpPath, Image, Name, Paragraph, Percent, Port, Subdomain

INTERNET: Final = "internet"
"""In `talksTo`: HTTPS to public addresses, and to no private one."""

CACHE: Final = "cache"
"""In `talksTo`: the cache and queue."""

POOL: Final = "pool"
"""In `talksTo`: the database, through its pool. Migrations alone go to it directly."""

COLLECTOR: Final = "collector"
"""In `talksTo`: who takes traces."""

_CREDENTIAL: Final = re.compile(
    r"(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|CREDENTIALS?|DSN)(?!.*_FILE$)"
)


_SECRET_VALUE: Final = re.compile(
    r"://[^/\s:@]*:[^/\s@]+@"  # a password in an address
    r"|\b(ghp|gho|ghs|github_pat|glpat|xox[abps]|sk_live|rk_live|whsec)[_-][A-Za-z0-9]"
    r"|\b(AKIA|ASIA)[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY|\beyJ[A-Za-z0-9_-]{10,}\.eyJ"
)
"""What nobody writes but a credential. It finds the common ones, and is no proof that there is none."""


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


class Public(Section):
    """How a workload is reached from outside, through the entrance."""

    host: Subdomain = Field(description="The first label below the stack's domain; `@` is the site itself.")
    requests_per_second: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="Per client, on average; more is answered with 429."
    )
    burst: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=20, description="How many requests a client may send at once before that counts."
    )
    body_megabytes: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=10, description="The largest request body; a larger one is answered with 413."
    )
    content_security_policy: str | None = Field(
        default=None, description="What a page may load; left out, nothing: right for what is no page."
    )
    streams: bool = Field(
        default=False,
        description="Long connections (Socket.IO): a cookie keeps a client on its pod, nothing is buffered.",
    )


class Release(Section):
    """What has to succeed before a new version gets any traffic."""

    workload: Name = Field(description="Whose image, configuration and credentials the steps use.")
    migrate: list[str] = Field(min_length=1, description="Arguments that migrate the database.")
    smoke: list[str] = Field(
        min_length=1, description="Arguments that try the new version, started beside at 127.0.0.1."
    )
    deadline_seconds: Annotated[int, Field(ge=30, le=7200)] = Field(
        default=900, description="How long the migrations may take."
    )
    without_snapshot: Paragraph | None = Field(
        default=None,
        description="Why no backup is taken before the migrations; left out, one is, and they wait for it.",
    )


class Workload(Section):
    """A stateless service: how it is run, scaled, probed, configured, and whom it may call."""

    namespace: Name = Field(default="app", description="One of `platform.namespaces`.")
    image: Image = Field(description="The container image.")
    args: list[str] = Field(default_factory=list, description="The container's arguments.")
    port: Port = Field(description="Where the container listens for HTTP.")
    metrics_port: Port = Field(
        default=9464, description="Where it serves /metrics; apart, so that the entrance never reaches it."
    )
    service: bool = Field(default=True, description="Whether others call it; a queue's worker is not called.")
    priority: Literal["critical", "standard", "background"] = Field(
        default="standard", description="Who is moved or waits when the cluster is full."
    )
    public: Public | None = Field(default=None, description="Left out: not reachable from outside.")
    resources: Resources
    autoscaling: Autoscaling
    probes: Probes
    drain_seconds: Annotated[int, Field(ge=5, le=600)] = Field(
        default=30, description="How long a pod that is asked to stop may take to finish its requests."
    )
    talks_to: list[str] = Field(
        default_factory=list,
        description=f"Other workloads by name, `{POOL}`, `{CACHE}`, `{INTERNET}`, or `{COLLECTOR}`, which "
        "takes traces. All else is refused.",
    )
    config: dict[EnvName, str] = Field(
        default_factory=dict, description="Environment variables, none of them secret."
    )
    secrets: list[Name] = Field(
        default_factory=list, description="Mounted as files; `<NAME>_FILE` says where."
    )

    @field_validator("public")
    @classmethod
    def _has_a_service(cls, public: Public | None, info: ValidationInfo) -> Public | None:
        if public is not None and info.data.get("service") is False:
            raise ValueError("no public host without a service: leave out `service: false`, or `public`")
        return public

    @field_validator("metrics_port")
    @classmethod
    def _is_apart(cls, metrics_port: int, info: ValidationInfo) -> int:
        if metrics_port == info.data.get("port"):
            raise ValueError("another port than `port`: metrics must not be reachable through the entrance")
        return metrics_port

    @field_validator("config")
    @classmethod
    def _holds_no_credential(cls, config: dict[str, str]) -> dict[str, str]:
        suspects = sorted(
            name for name, value in config.items() if _CREDENTIAL.search(name) or _looks_secret(value)
        )
        if suspects:
            raise ValueError(
                f"no credentials: put {', '.join(suspects)} under secrets, and its name in `secrets`"
            )
        if taken := sorted({"PORT", "METRICS_PORT", "DRAIN_SECONDS"} & config.keys()):
            raise ValueError(f"without {', '.join(taken)}: port, metricsPort and drainSeconds say it")
        return config

    @field_validator("args")
    @classmethod
    def _names_no_credential(cls, args: list[str]) -> list[str]:
        if any(_looks_secret(argument) for argument in args):
            raise ValueError(
                "no credentials: arguments are there for everybody to read; put it under secrets"
            )
        return args


def _looks_secret(value: str) -> bool:
    return _SECRET_VALUE.search(value) is not None


def without_cycle(workloads: dict[str, Workload]) -> dict[str, Workload]:
    """Refuses workloads that call each other in a circle: a callee is built before its callers."""
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
