"""The ground: whose the stack is, which cluster it lives in, its namespaces, its credentials."""

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from settings.section import Section
from settings.types import Bytes, Cidr, Cpu, Domain, LabelValue, Name


class Stack(Section):
    """What is deployed here, and who answers and pays for it: every object's labels and tags."""

    product: Name = Field(description="The product's name; the prefix of every namespace.")
    environment: Literal["local", "development", "staging", "preproduction", "production"] = Field(
        description="How far the stack is from the public; some policies are stricter in production."
    )
    owner: LabelValue = Field(description="The team that is paged.")
    cost_centre: LabelValue = Field(description="The account that pays.")
    domain: Domain = Field(description="The site's name; `api.`, `ws.` and the others stand below it.")


class Cluster(Section):
    """Which Kubernetes cluster the stack lives in."""

    context: Annotated[str, Field(min_length=1)] = Field(
        description="The kubeconfig's context. Named, so that no stack lands in whatever context is current."
    )
    pod_ranges: list[Cidr] = Field(
        default=["10.0.0.0/8"],
        description="Where its pods have their addresses: what applications behind the entrance trust.",
    )


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


class Secret(Section):
    """One credential: made here, or given by somebody else and set encrypted (`{}` until it is set)."""

    generate: Annotated[int, Field(ge=24, le=128)] | None = Field(
        default=None, description="Let the stack make one of this many letters and digits."
    )
    epoch: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1, description="Of a generated one: raise it by one to rotate; by three after a leak."
    )
    value: SecretStr | None = Field(
        default=None,
        description="Given: set it by `pulumi config set --secret --path 'secrets.<name>.value'`.",
    )

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> Self:
        if self.generate is not None and self.value is not None:
            raise ValueError("either `generate` with a length, or `value`, encrypted")
        return self
