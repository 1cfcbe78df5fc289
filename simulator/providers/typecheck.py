"""Whether a program's values fit the SDK's types: the simulated providers' first check.

Every failure is found, not only the first, and each is one line: path, what was found, what is valid.
Unknown values fit everything. The text of a secret never enters a message.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from simulator.providers import values
from simulator.providers.sdk import (
    Anything,
    AssetOrArchive,
    Choice,
    Field,
    ListOf,
    MapOf,
    OneOf,
    Primitive,
    Record,
    Type,
)
from simulator.providers.values import Secret, Value, join

PRIMITIVES: Final[Mapping[str, tuple[type, ...]]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
}
NAMES: Final[Mapping[str, str]] = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
}
SHOWN: Final = 60
"""How many characters of a wrong value a message shows."""


@dataclass(frozen=True)
class Failure:
    """One reason to refuse a resource.

    Attributes:
        path: the property it is about; empty for the whole resource.
        reason: what was found and what would be valid, in one line.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


def check_fields(
    properties: Value, fields: Mapping[str, Field], path: str = "", *, hidden: bool = False
) -> Iterator[Failure]:
    """The failures of an object against the fields of its class.

    Args:
        properties: the object, keyed by wire name.
        fields: what the class allows.
        path: where the object stands.
        hidden: whether it stands inside a secret.
    """
    for name, value in properties.items():
        if name == "__defaults":
            continue
        if name not in fields:
            yield Failure(join(path, name), f"unknown property{_suggest(name, fields)}")
        elif value is not None:
            yield from check_value(value, fields[name].type, join(path, name), hidden=hidden)
            yield from _check_available(value, fields[name].available, join(path, name), hidden=hidden)
    for name, field in fields.items():
        if field.required and properties.get(name) is None:
            yield Failure(join(path, name), "missing required property")


def check_value(value: Value, expected: Type, path: str, *, hidden: bool = False) -> Iterator[Failure]:
    """The failures of one value against one type."""
    if isinstance(value, Secret):
        yield from check_value(value.value, expected, path, hidden=True)
    elif value is values.UNKNOWN or value is None or isinstance(expected, Anything):
        return
    elif isinstance(expected, OneOf):
        yield from _check_one_of(value, expected, path, hidden=hidden)
    elif isinstance(expected, Record) and isinstance(value, dict):
        yield from check_fields(value, expected.fields(), path, hidden=hidden)
    elif isinstance(expected, ListOf) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from check_value(item, expected.item, join(path, index), hidden=hidden)
    elif isinstance(expected, MapOf) and isinstance(value, dict):
        for key, item in value.items():
            yield from check_value(item, expected.item, join(path, key), hidden=hidden)
    elif not _fits(value, expected):
        yield Failure(path, f"expected {describe(expected)}, found {show(value, hidden=hidden)}")


def describe(expected: Type) -> str:
    """A type in words."""
    if isinstance(expected, Primitive):
        return NAMES[expected.name]
    if isinstance(expected, Choice):
        return "one of " + ", ".join(json.dumps(value) for value in expected.values)
    if isinstance(expected, OneOf):
        return " or ".join(describe(option) for option in expected.options)
    if isinstance(expected, ListOf):
        return "a list"
    if isinstance(expected, AssetOrArchive):
        return "an asset or archive"
    return "an object"


def show(value: Value, *, hidden: bool = False) -> str:
    """A wrong value in words: its type, and a scalar's text unless it is secret."""
    value_type = values.type_name.get(type(value), "an object")
    if hidden or isinstance(value, dict | list) or value is None:
        return value_type
    text = json.dumps(value)
    return f"{value_type} {text if len(text) <= SHOWN else text[:SHOWN] + '...'}"


def _fits(value: Any, expected: Type) -> bool:
    if isinstance(expected, Choice):
        return value in expected.values
    if isinstance(expected, AssetOrArchive):
        signatures = (values.ASSET_SIGNATURE, values.ARCHIVE_SIGNATURE)
        return isinstance(value, dict) and value.get(values.SIGNATURE) in signatures
    if isinstance(expected, Primitive):
        # A boolean is an int to Python, and to nobody else.
        if isinstance(value, bool):
            return expected.name == "bool"
        return isinstance(value, PRIMITIVES[expected.name])
    return False


def _check_one_of(value: Any, expected: OneOf, path: str, *, hidden: bool) -> Iterator[Failure]:
    attempts = [list(check_value(value, option, path, hidden=hidden)) for option in expected.options]
    if not all(attempts):
        return
    # The option of the right shape says best what is wrong inside it.
    inside = [failures for failures in attempts if any(failure.path != path for failure in failures)]
    if len(inside) == 1:
        yield from inside[0]
    else:
        yield Failure(path, f"expected {describe(expected)}, found {show(value, hidden=hidden)}")


def _check_available(
    value: Value, available: tuple[str, ...], path: str, *, hidden: bool
) -> Iterator[Failure]:
    if isinstance(value, Secret):
        yield from _check_available(value.value, available, path, hidden=True)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _check_available(item, available, join(path, index), hidden=hidden)
    elif available and isinstance(value, str) and value.lower() not in {name.lower() for name in available}:
        choices = ", ".join(json.dumps(name) for name in available)
        yield Failure(path, f"expected one of {choices}, found {show(value, hidden=hidden)}")


def _suggest(name: str, fields: Mapping[str, Field]) -> str:
    close = difflib.get_close_matches(name, fields, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; valid: {', '.join(sorted(fields))}" if fields else ""
