"""What an expression says, once it is read: the tree that the parser makes and an evaluator walks."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Literal, TypeAlias

from components.edge.fields import Array, Map, Type

Address: TypeAlias = IPv4Address | IPv6Address


class Every:
    """The index `[*]`: each element by itself."""

    def __repr__(self) -> str:
        return "[*]"


EVERY: Final = Every()

Key: TypeAlias = bytes | int | Every
Constant: TypeAlias = bytes | int | bool | Address


@dataclass(frozen=True)
class Range:
    """From the first to the last, both within."""

    first: int | Address
    last: int | Address


@dataclass(frozen=True)
class Listed:
    """A list of the account, by its name without the `$`."""

    name: str


@dataclass(frozen=True)
class Written:
    """A value that stands in the text.

    Attributes:
        value: texts are bytes, as at the edge.
        type: of the value.
        text: as written.
    """

    value: Constant
    type: Type
    text: str


@dataclass(frozen=True)
class FieldValue:
    """What the request has.

    Attributes:
        name: the field's.
        type: of its value.
    """

    name: str
    type: Type


@dataclass(frozen=True)
class Call:
    """A function's result.

    Attributes:
        name: the function's.
        arguments: what it is given.
        type: of the result; an array of results if the first argument has a `[*]`.
        mapped: whether it has.
    """

    name: str
    arguments: tuple["Argument", ...]
    type: Type
    mapped: bool


@dataclass(frozen=True)
class Indexed:
    """A part of a map or array.

    Attributes:
        of: the whole.
        keys: from outside inwards.
        type: of the part; with a `[*]`, of one element.
    """

    of: FieldValue | Call
    keys: tuple[Key, ...]
    type: Type

    @property
    def every(self) -> int:
        """How many `[*]` it has."""
        return sum(isinstance(key, Every) for key in self.keys)


Value: TypeAlias = FieldValue | Call | Indexed


def every(value: "Argument") -> int:
    """How many `[*]` there are outside of functions."""
    return value.every if isinstance(value, Indexed) else 0


@dataclass(frozen=True)
class Holds:
    """A value that is true or false by itself."""

    value: Value | Written

    @property
    def type(self) -> Type:
        """`Boolean`, or an array of them."""
        return Array("Boolean") if every(self.value) else self.value.type


Operator: TypeAlias = Literal[
    "eq", "ne", "lt", "le", "gt", "ge", "contains", "matches", "wildcard", "strict wildcard", "in"
]
Operand: TypeAlias = Constant | Listed | tuple[Constant | Range, ...]


@dataclass(frozen=True)
class Comparison:
    """A value beside a literal.

    Attributes:
        value: on the left.
        operator: in English notation.
        operand: on the right: a constant; for `in` a list or the members of a set.
    """

    value: Value
    operator: Operator
    operand: Operand

    @property
    def type(self) -> Type:
        """`Boolean`, or an array of them."""
        return Array("Boolean") if every(self.value) else "Boolean"


@dataclass(frozen=True)
class Not:
    """The opposite."""

    of: "Condition"

    @property
    def type(self) -> Type:
        """That of the condition."""
        return self.of.type


@dataclass(frozen=True)
class Combined:
    """Two or more conditions.

    Attributes:
        operator: in English notation.
        items: from left to right, all of one type.
    """

    operator: Literal["and", "xor", "or"]
    items: tuple["Condition", ...]

    @property
    def type(self) -> Type:
        """That of its conditions."""
        return self.items[0].type


Condition: TypeAlias = Holds | Comparison | Not | Combined
Argument: TypeAlias = Value | Written | Condition


def at(type_: Type, key: Key) -> Type | None:
    """The type of a part; None where there is no such part."""
    if isinstance(key, Every):
        return type_.of if isinstance(type_, Array | Map) else None
    if isinstance(key, int):
        return type_.of if isinstance(type_, Array) else None
    return type_.of if isinstance(type_, Map) else None
