"""What every component is: a type token, the labels of its owner, its children's parent, declared outputs."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Whose an object is; every object of the platform carries it as labels or tags.

    Attributes:
        product: the product's name.
        environment: `staging`, `production`, ...
        owner: the team that is paged.
        cost_centre: the account that pays.
    """

    product: str
    environment: str
    owner: str
    cost_centre: str

    def labels(self, name: str, component: str) -> dict[str, str]:
        """The mandatory labels of one object.

        Args:
            name: the application or service that the object belongs to, such as `api`.
            component: its part in the platform, such as `application`.

        Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
        """
        return {
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/component": component,
            "app.kubernetes.io/part-of": self.product,
            "app.kubernetes.io/managed-by": "pulumi",
            "environment": self.environment,
            "owner": self.owner,
            "cost-centre": self.cost_centre,
        }


class Component(pulumi.ComponentResource):
    """A component of the platform.

    A subclass sets `TYPE`, annotates its outputs as attributes, passes `self.child()` to what it makes and
    ends its constructor with `self.finish()`.

    Args:
        name: the component's name, unique within its type; its children are named `<name>-<role>`.
        identity: whose it is.
        opts: the caller's options; providers are inherited, nothing else reaches the children.
    """

    TYPE: ClassVar[str]
    """The type token, `fixia:<room>:<Class>`; it is part of every child's URN and never changes."""

    def __init__(self, name: str, identity: Identity, opts: pulumi.ResourceOptions | None) -> None:
        super().__init__(self.TYPE, name, None, opts)
        self._identity = identity
        self._labels = identity.labels(name, self.TYPE.split(":")[1])

    def child(self, **options: Any) -> pulumi.ResourceOptions:
        """Options for a child: this component as the parent, and what the child itself needs."""
        return pulumi.ResourceOptions(parent=self, **options)

    def metadata(
        self,
        namespace: pulumi.Input[str] | None = None,
        *,
        name: pulumi.Input[str] | None = None,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, pulumi.Input[str]] | None = None,
    ) -> ObjectMetaArgs:
        """A Kubernetes object's metadata; the mandatory labels win over `labels`.

        Args:
            namespace: where the object lives; None for what belongs to the whole cluster.
            name: a fixed name, for what something outside must find; else the engine makes one up.
            labels: more labels.
            annotations: annotations.
        """
        return ObjectMetaArgs(
            name=name,
            namespace=namespace,
            labels={**(labels or {}), **self._labels},
            annotations=dict(annotations) if annotations else None,
        )

    @classmethod
    def outputs(cls) -> list[str]:
        """The names of the component's outputs: what its class annotates."""
        return sorted(inspect.get_annotations(cls))

    def finish(self) -> None:
        """Registers the outputs, which also tells the engine that the component is complete."""
        self.register_outputs({name: getattr(self, name) for name in self.outputs()})
