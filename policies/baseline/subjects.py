"""Policies by what they look at: a Kubernetes object, a pod, or a container.

A policy is one of these with its data and one small function; finding the objects, pods and containers in
every kind of resource is done here, once.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from baseline.manifests import Manifest, Pod, has_pods, manifests, pods
from baseline.model import Resource, ResourcePolicy, Violation
from baseline.tree import Node


@dataclass(frozen=True, kw_only=True)
class ObjectPolicy(ResourcePolicy):
    """A rule for Kubernetes objects.

    Attributes:
        selects: Which type tokens it reads.
        check: The pure validator of one object.
    """

    selects: Callable[[str], bool]
    check: Callable[[Manifest], Iterable[Violation]]

    def applies_to(self, type_token: str) -> bool:
        """See `Policy.applies_to`."""
        return self.selects(type_token)

    def evaluate(self, resource: Resource) -> Iterator[Violation]:
        """Check the object, or every item of a list."""
        for manifest in manifests(resource):
            yield from self.check(manifest)


@dataclass(frozen=True, kw_only=True)
class PodPolicy(ResourcePolicy):
    """A rule for pods, wherever their templates are.

    Attributes:
        check: The pure validator of one pod.
    """

    check: Callable[[Pod], Iterable[Violation]]

    def applies_to(self, type_token: str) -> bool:
        """See `Policy.applies_to`."""
        return has_pods(type_token)

    def evaluate(self, resource: Resource) -> Iterator[Violation]:
        """Check every pod."""
        for pod in pods(resource):
            yield from self.check(pod)


@dataclass(frozen=True, kw_only=True)
class ContainerPolicy(ResourcePolicy):
    """A rule for containers: init, ordinary and ephemeral.

    Attributes:
        check: The pure validator of one container.
    """

    check: Callable[[Node], Iterable[Violation]]

    def applies_to(self, type_token: str) -> bool:
        """See `Policy.applies_to`."""
        return has_pods(type_token)

    def evaluate(self, resource: Resource) -> Iterator[Violation]:
        """Check every container of every pod."""
        for pod in pods(resource):
            for container in pod.containers():
                yield from self.check(container)
