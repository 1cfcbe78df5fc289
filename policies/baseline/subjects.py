"""Policies by what they look at: a resource, a Kubernetes object, a pod, a container, or all objects at once.

A policy is one of these with its data and one small function; finding the objects, pods and containers in
every kind of resource is done here, once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from baseline.manifests import Kind, Manifest, has_pods, kind_of, manifests, pods
from baseline.model import Resource, ResourcePolicy, StackPolicy, Violation
from baseline.tree import MalformedError, Node, guarded


@dataclass(frozen=True, kw_only=True)
class PlainPolicy(ResourcePolicy):
    """A rule for resources of any provider.

    Attributes:
        selects: Which type tokens it reads.
        check: The pure validator of one resource.
    """

    selects: Callable[[str], bool]
    check: Callable[..., Iterable[Violation]]

    def applies_to(self, type_token: str) -> bool:
        """See `Policy.applies_to`."""
        return self.selects(type_token)

    def evaluate(self, resource: Resource) -> Iterable[Violation]:
        """Check the resource."""
        return self.check(resource, **self.options)


@dataclass(frozen=True, kw_only=True)
class ObjectPolicy(ResourcePolicy):
    """A rule for Kubernetes objects.

    Attributes:
        selects: Which kinds it reads.
        check: The pure validator of one object.
    """

    selects: Callable[[Kind], bool]
    check: Callable[..., Iterable[Violation]]

    def applies_to(self, type_token: str) -> bool:
        """See `Policy.applies_to`."""
        kind = kind_of(type_token)
        return kind is not None and self.selects(kind)

    def evaluate(self, resource: Resource) -> Iterator[Violation]:
        """Check the object, or every item of a list."""
        for manifest in manifests(resource):
            if self.selects(manifest.kind):
                yield from self.check(manifest, **self.options)


@dataclass(frozen=True, kw_only=True)
class PodPolicy(ResourcePolicy):
    """A rule for pods, wherever their templates are.

    Attributes:
        check: The pure validator of one pod.
    """

    check: Callable[..., Iterable[Violation]]

    def applies_to(self, type_token: str) -> bool:
        """See `Policy.applies_to`."""
        return has_pods(type_token)

    def evaluate(self, resource: Resource) -> Iterator[Violation]:
        """Check every pod."""
        for pod in pods(resource):
            yield from self.check(pod, **self.options)


@dataclass(frozen=True, kw_only=True)
class ContainerPolicy(ResourcePolicy):
    """A rule for containers: init, ordinary and ephemeral.

    Attributes:
        check: The pure validator of one container.
    """

    check: Callable[..., Iterable[Violation]]

    def applies_to(self, type_token: str) -> bool:
        """See `Policy.applies_to`."""
        return has_pods(type_token)

    def evaluate(self, resource: Resource) -> Iterator[Violation]:
        """Check every container of every pod."""
        for pod in pods(resource):
            for container in pod.containers():
                yield from self.check(container, **self.options)


def kinds(*names: tuple[str, str]) -> Callable[[Kind], bool]:
    """Select Kubernetes kinds for an `ObjectPolicy`.

    Args:
        names: Group and name of each.

    Returns:
        The predicate.
    """
    return lambda kind: kind.is_any(*names)


@dataclass(frozen=True, slots=True)
class Item:
    """One Kubernetes object of a stack.

    Attributes:
        resource: The resource that it is, or that lists it.
        manifest: The object.
    """

    resource: Resource
    manifest: Manifest

    @property
    def root(self) -> Node:
        """The object's properties."""
        return self.manifest.root


@dataclass(frozen=True, kw_only=True)
class ObjectsPolicy(StackPolicy):
    """A rule about how the Kubernetes objects of a stack fit together.

    Its check gets `Item`s instead of resources. An object of a wrong shape is reported by itself, and the
    others are still checked, where the check reads one object at a time (`each`).
    """

    def evaluate(self, resources: Sequence[Resource]) -> Iterator[Violation]:
        """Find the objects, and check them together."""
        items: list[Item] = []
        for resource in resources:
            try:
                items.extend(Item(resource, manifest) for manifest in manifests(resource))
            except MalformedError as error:
                yield replace(error.violation, resource=resource)
        yield from self.check(items, **self.options)


def each(items: Iterable[Item], check: Callable[[Item], Iterable[Violation]]) -> Iterator[Violation]:
    """Check objects one by one, so that a malformed one does not hide the others.

    Args:
        items: The objects.
        check: Finds what is wrong with one; a generator function.

    Yields:
        The findings, each blaming its object's resource.
    """
    for item in items:
        yield from guarded(item.resource, check(item))
