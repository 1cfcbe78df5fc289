"""How Kubernetes finds objects: by label selector, by name, by namespace. All answers may be unknown."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from baseline.model import UNKNOWN, Value
from baseline.subjects import Item
from baseline.tree import MalformedError, Node, Truth, every, same, some

DEFAULT_NAMESPACE: Final = "default"


def namespace_of(item: Item) -> Value:
    """Return the namespace that an object lives in."""
    namespace = item.manifest.namespace.value
    return DEFAULT_NAMESPACE if namespace is None else namespace


def is_empty(selector: Node) -> Truth:
    """Tell whether a label selector asks for nothing, which makes it select everything.

    Args:
        selector: The selector, with ``matchLabels`` and ``matchExpressions``.
    """
    if selector.value is UNKNOWN:
        return UNKNOWN
    parts = (selector.at("matchLabels"), selector.at("matchExpressions"))
    return every(UNKNOWN if part.value is UNKNOWN else not part.value for part in parts)


def matches(selector: Node, labels: Node) -> Truth:
    """Tell whether a label selector selects an object with these labels.

    Args:
        selector: The selector, with ``matchLabels`` and ``matchExpressions``.
        labels: The object's labels.
    """
    if selector.value is UNKNOWN:
        return UNKNOWN
    wanted = has_labels(selector.at("matchLabels"), labels)
    return every([wanted, *(_expression(one, labels) for one in selector.at("matchExpressions").items())])


def has_labels(wanted: Node, labels: Node) -> Truth:
    """Tell whether an object has some labels, such as those of a Service's selector.

    Args:
        wanted: A block of labels.
        labels: The object's labels.
    """
    if wanted.value is None:
        return True
    if not isinstance(wanted.value, dict):
        return UNKNOWN if wanted.value is UNKNOWN else False
    return every(same(value, _label(labels, key)) for key, value in wanted.value.items())


def _label(labels: Node, key: str) -> Value:
    if isinstance(labels.value, dict):
        return labels.value.get(key)
    return UNKNOWN if labels.value is UNKNOWN else None


def _expression(expression: Node, labels: Node) -> Truth:
    key, operator = expression.at("key").value, expression.at("operator").value
    if not isinstance(key, str) or not isinstance(operator, str):
        return UNKNOWN
    value = _label(labels, key)
    if value is UNKNOWN:
        return UNKNOWN
    match operator:
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    among = some(same(value, one.value) for one in expression.at("values").items())
    if operator == "In":
        return among
    return UNKNOWN if among is UNKNOWN or operator != "NotIn" else not among


@dataclass(frozen=True, slots=True)
class PodSet:
    """The pods of one object, as selectors see them.

    Attributes:
        item: The object.
        namespace: Where they live.
        labels: What they carry.
    """

    item: Item
    namespace: Value
    labels: Node


class Pods:
    """The pods of a stack, to be found by selector without looking at each of them.

    Args:
        items: The objects of the stack; those without pods are left out.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self.all: list[PodSet] = [one for item in items for one in _pod_sets(item)]
        self._in: dict[str, list[PodSet]] = defaultdict(list)
        self._by: dict[tuple[str, str, str], list[PodSet]] = defaultdict(list)
        self._unsure: list[PodSet] = []
        for one in self.all:
            labels = one.labels.value if one.labels.value is not None else {}
            if not isinstance(one.namespace, str) or not isinstance(labels, dict):
                self._unsure.append(one)
                continue
            self._in[one.namespace].append(one)
            if any(not isinstance(value, str) for value in labels.values()):
                self._unsure.append(one)
            for key, value in labels.items():
                if isinstance(value, str):
                    self._by[one.namespace, key, value].append(one)

    def selected(self, selector: Node, owner: Item, *, plain: bool = False) -> Truth:
        """Tell whether a selector selects any pod of its own namespace.

        Args:
            selector: The selector.
            owner: The object that it stands in.
            plain: Whether it is a block of labels, as in a Service.
        """
        return some(fact for _, fact in self.found(selector, owner, plain=plain))

    def found(self, selector: Node, owner: Item, *, plain: bool = False) -> Iterator[tuple[PodSet, Truth]]:
        """Find the pods that a selector selects, or may select. Arguments as for `selected`.

        Yields:
            Pods, and whether they are selected: true or unknown.
        """
        choose = has_labels if plain else matches
        namespace = namespace_of(owner)
        for one in self._candidates(selector if plain else selector.at("matchLabels"), namespace):
            fact = every([same(namespace, one.namespace), choose(selector, one.labels)])
            if fact is not False:
                yield one, fact

    def _candidates(self, labels: Node, namespace: Value) -> list[PodSet]:
        if not isinstance(namespace, str):
            return self.all
        if isinstance(labels.value, dict):
            for key, value in labels.value.items():
                if isinstance(value, str):
                    sure = self._by.get((namespace, key, value), [])
                    return [*sure, *(one for one in self._unsure if one not in sure)]
        here = self._in.get(namespace, [])
        return [*here, *(one for one in self._unsure if one.namespace is UNKNOWN)]


def _pod_sets(item: Item) -> Iterator[PodSet]:
    try:
        own = [one.labels for one in item.manifest.pods()]
    except MalformedError:
        own = [Node(UNKNOWN)]  # Reported where the pod is read.
    operators = _operators_labels(item)
    for labels in own if operators is None else operators:
        yield PodSet(item, namespace_of(item), labels)


_MAKERS = ("full-recovery", "import", "initdb", "join", "pgbasebackup", "snapshot-recovery")
"""The operator's jobs that make an instance. Source: CloudNativePG 1.28, pkg/specs/jobs.go."""


def _operators_labels(item: Item) -> list[Node] | None:
    """Return the labels that CloudNativePG gives the pods of a database or a pooler; the rest is its own."""
    kind = item.manifest.kind
    if kind.group != "postgresql.cnpg.io" or kind.name not in ("Cluster", "Pooler"):
        return None
    name = item.manifest.name.value
    key = "cnpg.io/poolerName" if kind.name == "Pooler" else "cnpg.io/cluster"
    own = ("cnpg.io/podRole", "cnpg.io/instanceRole", "cnpg.io/instanceName", "role")
    served = Node({key: name, **dict.fromkeys(own, UNKNOWN)})
    if kind.name == "Pooler":
        return [served]
    return [served, *(Node({key: name, "cnpg.io/jobRole": maker}) for maker in _MAKERS)]


class Names:
    """Objects of a stack, to be found by name and namespace.

    Args:
        items: The objects.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self._known: set[tuple[str, str]] = set()
        self._unsure: list[tuple[Value, Value]] = []
        for item in items:
            # Without a name of its own an object gets a generated one, as good as unknown.
            name = item.manifest.name.value
            name = UNKNOWN if name is None else name
            namespace = namespace_of(item)
            if isinstance(name, str) and isinstance(namespace, str):
                self._known.add((namespace, name))
            else:
                self._unsure.append((namespace, name))

    def have(self, namespace: Value, name: Value) -> Truth:
        """Tell whether an object of this name is among them."""
        if isinstance(name, str) and isinstance(namespace, str) and (namespace, name) in self._known:
            return True
        if name is UNKNOWN or namespace is UNKNOWN:
            return UNKNOWN if self._known or self._unsure else False
        unsure = (every([same(one[0], namespace), same(one[1], name)]) for one in self._unsure)
        return some(unsure)
