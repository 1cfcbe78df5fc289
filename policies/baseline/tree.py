"""Read nested properties without losing their paths, and without mistaking unknown for absent."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias

from baseline.model import UNKNOWN, Resource, Unknown, Value, Violation, describe

_PLAIN_KEY = re.compile(r"[A-Za-z_]\w*")

Truth: TypeAlias = bool | Unknown
"""A fact that may still be unknown."""


def every(facts: Iterable[Truth]) -> Truth:
    """Tell whether all facts hold; unknown only if no known one decides it."""
    found = list(facts)
    if any(fact is False for fact in found):
        return False
    return UNKNOWN if any(fact is UNKNOWN for fact in found) else True


def some(facts: Iterable[Truth]) -> Truth:
    """Tell whether a fact holds; unknown only if no known one decides it."""
    found = list(facts)
    if any(fact is True for fact in found):
        return True
    return UNKNOWN if any(fact is UNKNOWN for fact in found) else False


def same(one: Value, other: Value) -> Truth:
    """Tell whether two values are equal."""
    return UNKNOWN if one is UNKNOWN or other is UNKNOWN else one == other


class MalformedError(Exception):
    """A property is of another shape than its schema says, so nothing below it can be checked.

    Attributes:
        violation: What to report: a policy that can't read a property has not been satisfied.
    """

    def __init__(self, node: "Node", expected: str) -> None:
        super().__init__(f"{node.path} is {describe(node.value)}, expected {expected}")
        self.violation = Violation(
            node.path, node.value, expected, "Give the property the shape of its schema."
        )


@dataclass(frozen=True, slots=True)
class Node:
    """A value and the path that leads to it.

    Attributes:
        value: The value; None when absent, `UNKNOWN` when it or a block around it is unknown.
        path: The property path, as Pulumi writes it.
    """

    value: Value
    path: str = ""

    def at(self, *keys: str) -> "Node":
        """Follow keys downwards. Below an absent block all is absent, below an unknown one unknown.

        Args:
            keys: The keys, outermost first.

        Returns:
            The node there.

        Raises:
            MalformedError: A value on the way is neither a block, absent nor unknown.
        """
        node = self
        for key in keys:
            node = node._child(key)
        return node

    def items(self) -> list["Node"]:
        """List the elements. An unknown list counts as one unknown element, so that nobody overlooks it.

        Returns:
            The elements; none when the list is absent.

        Raises:
            MalformedError: The value is not a list.
        """
        if self.value is None:
            return []
        if self.value is UNKNOWN:
            return [Node(UNKNOWN, f"{self.path}[*]")]
        if not isinstance(self.value, list):
            raise MalformedError(self, "a list")
        return [Node(value, f"{self.path}[{index}]") for index, value in enumerate(self.value)]

    def fields(self) -> list["Node"]:
        """List what is set in a block, sorted by key. An unknown block counts as one unknown field.

        Returns:
            The fields that are not absent; none when the block is.

        Raises:
            MalformedError: The value is not a block.
        """
        if self.value is None:
            return []
        if self.value is UNKNOWN:
            return [Node(UNKNOWN, f"{self.path}.*")]
        if not isinstance(self.value, dict):
            raise MalformedError(self, "a block")
        return [self._child(key) for key in sorted(self.value) if self.value[key] is not None]

    @property
    def key(self) -> str:
        """The last key of the path, for fields whose keys are plain names."""
        return self.path.rpartition(".")[2]

    def _child(self, key: str) -> "Node":
        if self.value is None or self.value is UNKNOWN:
            return Node(self.value, self._path_of(key))
        if not isinstance(self.value, dict):
            raise MalformedError(self, "a block")
        if key not in self.value and (other := _other_spelling(key)) in self.value:
            return Node(self.value[other], self._path_of(other))
        return Node(self.value.get(key), self._path_of(key))

    def _path_of(self, key: str) -> str:
        if not _PLAIN_KEY.fullmatch(key):
            return f'{self.path}["{key}"]'
        return f"{self.path}.{key}" if self.path else key


@lru_cache(maxsize=4096)
def _other_spelling(key: str) -> str:
    """Spell a camelCase key in snake_case: untyped blocks reach the engine as they were written."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", key).lower() if _PLAIN_KEY.fullmatch(key) else key


def guarded(resource: Resource, findings: Iterable[Violation]) -> Iterator[Violation]:
    """Blame a resource for the findings of a stack policy, also where one of its blocks has a wrong shape.

    Args:
        resource: The resource that the findings were read from.
        findings: The findings, not begun.

    Yields:
        The findings, each with a resource.
    """
    try:
        for violation in findings:
            yield violation if violation.resource else replace(violation, resource=resource)
    except MalformedError as error:
        yield replace(error.violation, resource=resource)


def must(node: Node, accepts: Callable[[Value], bool], valid: str) -> Iterator[Violation]:
    """Require a value to satisfy a predicate, which an unknown value never does.

    Args:
        node: The property.
        accepts: The predicate, called with known values only.
        valid: What it accepts, in words.

    Yields:
        One violation, or none.
    """
    if node.value is UNKNOWN or not accepts(node.value):
        yield Violation(node.path, node.value, valid)


def must_be(node: Node, *valid: Value) -> Iterator[Violation]:
    """Require one of a few values. None among them means that the property may be absent.

    Args:
        node: The property.
        valid: The values accepted. Types count: ``"true"`` is not ``true``, nor is ``0`` ``false``.

    Yields:
        One violation, or none.
    """

    def accepts(value: Value) -> bool:
        return any(type(value) is type(one) and value == one for one in valid)

    yield from must(node, accepts, " or ".join(describe(one) for one in valid))
