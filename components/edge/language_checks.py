"""What the grammar alone does not say: patterns, and what messages tell of functions and types."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from components.edge.fields import Array, Function, Map, Parameter, Type
from components.edge.language_tree import (
    Argument,
    Call,
    Combined,
    Comparison,
    FieldValue,
    Holds,
    Indexed,
    Not,
)

MAX_STARS: Final = 32
"""Of a wildcard: ours. Cloudflare has a limit and does not tell it."""

# Rust's expressions have neither looking around nor back references, and some classes that Python's lack.
_NO_RUST: Final = re.compile(r"(?<!\\)(?:\\\\)*(?:\(\?(?:[=!]|<[=!]|P=|\()|\\[1-9])")
_ONLY_RUST: Final = re.compile(r"\\[pPzx]\{?|\[\[:|&&|--|~~|\(\?[a-zA-Z]*[uURx-]|\(\?<[A-Za-z]")


def wildcard_fault(pattern: bytes) -> str | None:
    """What is wrong with a wildcard, if anything."""
    plain = re.sub(rb"\\[\\*]", b"", pattern)
    if b"\\" in plain:
        return 'in a wildcard, \\ only escapes * and itself; best written as r"..."'
    # Where an escape was taken out, two stars can seem to meet.
    if b"**" in re.sub(rb"\\[\\*]", b"-", pattern):
        return "in a wildcard, ** is not allowed: one * is any number of characters"
    if plain.count(b"*") > MAX_STARS:
        return f"a wildcard with {plain.count(b'*')} *: {MAX_STARS} are enough"
    return None


def regex_fault(pattern: bytes) -> str | None:
    """What is wrong with a regular expression, if anything that can be told without Rust."""
    text = pattern.decode("utf-8", "replace")
    if found := _NO_RUST.search(text):
        return f"Rust's regular expressions have no {found[0]!r}"
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        return None if _ONLY_RUST.search(text) else f"no regular expression: {error}"
    return None


def accepts(parameter: Parameter, found: Type) -> bool:
    """Whether a parameter takes a value of the type."""
    return any(
        isinstance(found, each) if isinstance(each, type) else each == found for each in parameter.types
    )


def wanted(parameter: Parameter) -> str:
    """The types that a parameter takes, for a message."""
    return " or ".join(each.__name__ if isinstance(each, type) else str(each) for each in parameter.types)


def count(function: Function) -> str:
    """How many arguments a function takes, for a message."""
    most = len(function.parameters)
    if function.repeats:
        return f"{most} or more arguments"
    return f"{most - function.optional} to {most} arguments" if function.optional else f"{most} arguments"


def close(name: str, names: Iterable[str]) -> str:
    """The name that was probably meant, for a message."""
    found = get_close_matches(name, names, n=1, cutoff=0.7)
    return f": did you mean {found[0]}?" if found else ""


def inside(type_: Type) -> str:
    """How to come to the parts of a type, for a message."""
    if isinstance(type_, Map):
        return 'a key in quotes, as ["accept"], gives a part'
    if isinstance(type_, Array):
        return "a number, as [0], gives one element, and any(...[*] ...) asks about each"
    return "it is one value"


def bases(condition: Argument) -> frozenset[str]:
    """The arrays that are asked element by element."""
    if isinstance(condition, Combined):
        return frozenset().union(*(bases(item) for item in condition.items))
    if isinstance(condition, Not):
        return bases(condition.of)
    if isinstance(condition, Holds | Comparison):
        return bases(condition.value)
    if isinstance(condition, Indexed):
        if isinstance(condition.of, Call):
            return bases(condition.of)
        return frozenset({f"{condition.of.name}{condition.keys}"})
    if isinstance(condition, Call):
        return bases(condition.arguments[0])
    return frozenset({condition.name}) if isinstance(condition, FieldValue) else frozenset()
