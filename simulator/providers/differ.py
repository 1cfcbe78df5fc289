"""Which properties of a simulated resource differ, one entry per leaf.

Secrets are compared in the clear and only ever reported by their path. A list is compared index by index,
as the real providers report it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from simulator.providers.values import UNKNOWN, Secret, Value, join, reveal


class Kind(Enum):
    """What happens to a property; the value is the protocol's word."""

    ADD = "ADD"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


@dataclass(frozen=True)
class Change:
    """One property that differs.

    Attributes:
        path: where it is, in the engine's notation.
        keys: the same path without list indices, for tables of rules.
        kind: whether it is new, gone or different.
    """

    path: str
    keys: tuple[str, ...]
    kind: Kind

    def touches(self, *rule: str) -> bool:
        """Whether the change is at, below or above the property of a rule such as `spec`, `selector`."""
        shared = min(len(rule), len(self.keys))
        return self.keys[:shared] == rule[:shared]


def changes(old: Value, new: Value, path: str = "", keys: tuple[str, ...] = ()) -> Iterator[Change]:
    """The leaves in which two values differ; a value not known yet counts as different."""
    if isinstance(old, Secret) or isinstance(new, Secret):
        if new is UNKNOWN or reveal(old) != reveal(new):
            yield Change(path, keys, Kind.UPDATE)
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if key != "__defaults":
                yield from _step(old.get(key), new.get(key), join(path, key), (*keys, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else None
            after = new[index] if index < len(new) else None
            yield from _step(before, after, join(path, index), keys)
    elif new is UNKNOWN or not _same(old, new):
        yield Change(path, keys, Kind.UPDATE)


def _same(old: Value, new: Value) -> bool:
    """Whether two leaves are equal; True is not 1, but 1 is 1.0."""
    return bool(isinstance(old, bool) == isinstance(new, bool) and old == new)


def _step(old: Value, new: Value, path: str, keys: tuple[str, ...]) -> Iterator[Change]:
    if old is None and new is None:
        return
    if old is None:
        yield Change(path, keys, Kind.ADD)
    elif new is None:
        yield Change(path, keys, Kind.DELETE)
    else:
        yield from changes(old, new, path, keys)
